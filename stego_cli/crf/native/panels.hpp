// Walking over an image panel by panel, and dividing its panels between threads.
#pragma once
#include <algorithm>

#include "types.hpp"

namespace stego {

// `count` items divided into parts of nearly equal size.
struct Partition {
    std::int64_t count;
    int parts;
    std::int64_t begin(std::int64_t part) const { return count * part / parts; }
};

inline int panels(const Shape& shape) { return (shape.width + PANEL - 1) / PANEL; }

// Calls act(number of the first pixel, y, x, width) for every line of the panels from..to.
template <class Act> void each_line(const Shape& shape, std::int64_t from, std::int64_t to, Act act) {
    for (std::int64_t panel = from; panel < to; panel++) {
        const int x = static_cast<int>(panel) * PANEL, width = std::min(PANEL, shape.width - x);
        for (int y = 0; y < shape.height; y++) {
            act(std::int64_t(x) * shape.height + std::int64_t(y) * width, y, x, width);
        }
    }
}

// The first two features of a line's pixels: x and y in units of the deviation.
inline void positions(float* features, int y, int x, float deviation) {
    for (int i = 0; i < PANEL; i++) {
        features[i] = static_cast<float>(x + i) / deviation;
        features[PANEL + i] = static_cast<float>(y) / deviation;
    }
}

}  // namespace stego
