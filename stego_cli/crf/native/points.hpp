// What both lattices' builders do with an image's points: walk them panel by panel, and pack their vertices' keys.
#pragma once
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "plan.hpp"

namespace stego {

// Shares of the same size for the parts of a team that keep something of their own.
struct Shares {
    std::int64_t count;
    int parts;
    std::int64_t begin(std::int64_t part) const { return count * part / parts; }
};

inline int panels(const Shape& shape) { return (shape.width + PANEL - 1) / PANEL; }

// Calls act(pixel number, y, x, width) for every panel row of panels from..to.
template <class Act> void each_row(const Shape& shape, std::int64_t from, std::int64_t to, Act act) {
    for (std::int64_t panel = from; panel < to; panel++) {
        const int x = static_cast<int>(panel) * PANEL, width = std::min(PANEL, shape.width - x);
        for (int y = 0; y < shape.height; y++) {
            act(std::int64_t(x) * shape.height + std::int64_t(y) * width, y, x, width);
        }
    }
}

inline void positions(float* features, int y, int x, float deviation) {
    for (int i = 0; i < PANEL; i++) {
        features[i] = static_cast<float>(x + i) / deviation;
        features[PANEL + i] = static_cast<float>(y) / deviation;
    }
}

// Room in 64 bits for the coordinates of all vertices near features between 0 and `most`.
inline Packing pack(int dimensions, const double* most) {
    const int span = dimensions + 1;
    double step[COLOUR], above = 0;
    for (int i = 0; i < dimensions; i++) {
        step[i] = most[i] * std::sqrt(2.0 / 3.0) * span / std::sqrt((i + 1.0) * (i + 2.0));
        above += step[i];
    }
    Packing packing{};
    for (int i = 0; i < dimensions; i++) {
        const double below = i > 0 ? i * step[i - 1] : 0;
        const double margin = 4 * span;  // a simplex reaches one span, a neighbour another
        // A multiple of the span, so that differences of packed coordinates divide by it.
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
