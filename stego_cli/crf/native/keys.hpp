// Keys of vertices: all coordinates of a vertex packed into 64 bits.
#pragma once
#include <cmath>
#include <stdexcept>

#include "types.hpp"

namespace stego {

// Returns a packing that holds the coordinates of all vertices near features between 0 and `most`. Throws
// std::range_error where they do not fit 62 bits.
inline Packing pack(int dimensions, const double* most) {
    const int span = dimensions + 1;
    double step[BILATERAL_DIMENSIONS], above = 0;
    for (int i = 0; i < dimensions; i++) {
        step[i] = most[i] * std::sqrt(2.0 / 3.0) * span / std::sqrt((i + 1.0) * (i + 2.0));
        above += step[i];
    }
    Packing packing{};
    for (int i = 0; i < dimensions; i++) {
        const double below = i > 0 ? i * step[i - 1] : 0;
        const double margin = 4 * span;  // a simplex takes one span, its neighbours another
        // A multiple of the span, so that differences of packed coordinates can be divided by the span.
        const auto bias = static_cast<std::int64_t>(std::ceil((below + margin) / span)) * span;
        int bits = 1;
        while (std::ldexp(1.0, bits) <= static_cast<double>(bias) + above + margin) bits++;
        if (packing.shift[i] + bits > 62) throw std::range_error("the kernel's deviations are too small for the image");
        packing.shift[i + 1] = packing.shift[i] + bits;
        packing.bias += bias << packing.shift[i];
        above -= step[i];
    }
    return packing;
}

inline std::int64_t coordinate(const Packing& packing, std::int64_t key, int i) {
    return key >> packing.shift[i] & ((std::int64_t(1) << (packing.shift[i + 1] - packing.shift[i])) - 1);
}

}  // namespace stego
