// Which input pixels an output pixel is made of, along one axis, with Pillow's arithmetic: the triangle filter, widened
// where the picture shrinks, cut off at the border and normalised.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stego {

struct Taps {
    int most = 1;                 // pixels that an output pixel is made of, at most
    std::vector<int> first;       // by output pixel
    std::vector<int> count;       // by output pixel; at least 1
    std::vector<double> weights;  // `most` of each output pixel; 0 beyond `count`

    int end(int out) const { return first[std::size_t(out)] + count[std::size_t(out)]; }
    const double* of(int out) const { return weights.data() + std::size_t(out) * std::size_t(most); }
};

inline Taps triangle_taps(int from, int to) {
    const double scale = double(from) / to, support = std::max(scale, 1.0), step = 1.0 / support;
    Taps taps;
    taps.first.resize(std::size_t(to));
    taps.count.resize(std::size_t(to));
    for (int out = 0; out < to; out++) {
        const double centre = (out + 0.5) * scale;
        const int first = std::max(int(centre - support + 0.5), 0);
        taps.first[std::size_t(out)] = first;
        taps.count[std::size_t(out)] = std::min(int(centre + support + 0.5), from) - first;
        taps.most = std::max(taps.most, taps.count[std::size_t(out)]);
    }
    taps.weights.assign(std::size_t(to) * std::size_t(taps.most), 0.0);
    for (int out = 0; out < to; out++) {
        const double centre = (out + 0.5) * scale;
        double* weights = taps.weights.data() + std::size_t(out) * std::size_t(taps.most);
        double total = 0;
        for (int i = 0; i < taps.count[std::size_t(out)]; i++) {
            const double distance = std::fabs((i + taps.first[std::size_t(out)] - centre + 0.5) * step);
            weights[i] = distance < 1 ? 1 - distance : 0;
            total += weights[i];
        }
        for (int i = 0; total != 0 && i < taps.count[std::size_t(out)]; i++) weights[i] /= total;
    }
    return taps;
}

}  // namespace stego
