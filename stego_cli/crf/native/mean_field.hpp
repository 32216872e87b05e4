// Slice and softmax: what a pixel hears from all kernels, its own unary, and the normalisation, in one pass.
#pragma once
#include <math.h>

#include "rows.hpp"

namespace stego {
namespace {

constexpr float NOTHING = -1e30f;          // unary of the classes that only pad a row
constexpr float LEAST_LOG = -69.0775528f;  // log(1e-30): the least log-probability that is given out

// All classes of one pixel: BLOCKS parts of a row, or as many as the layout has where BLOCKS is 0.
template <int LANES, int VECTORS, int BLOCKS> struct Pixel {
    typedef Row<LANES, VECTORS> R;
    R rows[BLOCKS > 0 ? BLOCKS : MOST_CLASSES / R::width + 1];
    int blocks;

    STEGO_INLINE explicit Pixel(const Layout& layout) : blocks(BLOCKS > 0 ? BLOCKS : layout.blocks) {}

    STEGO_INLINE void load(const float* from) {
        for (int b = 0; b < blocks; b++) rows[b].load(from + b * R::width);
    }
    STEGO_INLINE void store(float* to) const {
        for (int b = 0; b < blocks; b++) rows[b].store(to + b * R::width);
    }

    // unary + all slices
    STEGO_INLINE void gather(const Slice* slices, int count, const float* unary, std::int64_t pixel, int stride) {
        for (int b = 0; b < blocks; b++) {
            R row;
            row.load(unary + pixel * stride + b * R::width);
            for (int s = 0; s < count; s++) {
                const int corners = slices[s].corners;
                const std::int32_t* vertex = slices[s].vertex + pixel * corners;
                const float* weight = slices[s].weight + pixel * corners;
                for (int r = 0; r < corners; r++) {
                    const float* soon = slices[s].values + std::size_t(vertex[SOON * corners + r]) * stride;
                    fetch<R>(soon);
                    row.add(weight[r], slices[s].values + std::size_t(vertex[r]) * stride + b * R::width);
                }
            }
            rows[b] = row;
        }
    }

    STEGO_INLINE float largest() const {
        typename R::V most = rows[0].part[0];
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) most = larger(most, rows[b].part[k]);
        }
        return joined<LANES>(most, false);
    }

    // To exp(values - most); returns their sum.
    STEGO_INLINE float exponentiate(float most) {
        typename R::V sum{};
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) {
                rows[b].part[k] = exponential<LANES>(rows[b].part[k] - most);
                sum += rows[b].part[k];
            }
        }
        return joined<LANES>(sum, true);
    }

    STEGO_INLINE void softmax() {
        const float scale = 1.0f / exponentiate(largest());
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) rows[b].part[k] = scale * rows[b].part[k];
        }
    }
};

template <int LANES, int VECTORS, int BLOCKS>
void update_rows(const Slice* slices, int count, const Layout& layout, const float* unary, float* pixels,
                 std::int64_t from, std::int64_t to) {
    const int stride = layout.stride();
    for (std::int64_t p = from; p < to; p++) {
        Pixel<LANES, VECTORS, BLOCKS> pixel(layout);
        pixel.gather(slices, count, unary, p, stride);
        pixel.softmax();
        pixel.store(pixels + p * stride);
    }
}

// A panel is 16 columns, or what is left of them; its pixels follow each other row by row.
STEGO_INLINE int panel_width(const Shape& shape, int panel) {
    const int left = shape.width - panel * PANEL;
    return left < PANEL ? left : PANEL;
}

template <int LANES, int VECTORS, int BLOCKS>
void finish_rows(const Slice* slices, int count, const Layout& layout, const float* unary, float* planes,
                 const Shape& shape, int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    std::int64_t p = std::int64_t(panel) * PANEL * shape.height;
    for (int y = 0; y < shape.height; y++) {
        float rows[PANEL][MOST_CLASSES + LANES * VECTORS], shift[PANEL];
        for (int x = 0; x < width; x++, p++) {
            Pixel<LANES, VECTORS, BLOCKS> pixel(layout);
            pixel.gather(slices, count, unary, p, stride);
            pixel.store(rows[x]);
            const float most = pixel.largest();
            shift[x] = most + logf(pixel.exponentiate(most));
        }
        float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
        for (int k = 0; k < layout.classes; k++, place += shape.pixels()) {
            for (int x = 0; x < width; x++) {
                const float log = rows[x][k] - shift[x];
                place[x] = log < LEAST_LOG ? LEAST_LOG : log;
            }
        }
    }
}

template <int LANES, int VECTORS, int BLOCKS>
void begin_rows(const Layout& layout, const float* planes, float* unary, float* pixels, const Shape& shape, int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    std::size_t p = std::size_t(panel) * PANEL * shape.height;
    for (int y = 0; y < shape.height; y++) {
        float* first = unary + p * stride;
        const float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
        for (int k = 0; k < layout.classes; k++, place += shape.pixels()) {
            for (int x = 0; x < width; x++) first[x * stride + k] = place[x];
        }
        for (int x = 0; x < width; x++, p++) {
            for (int k = layout.classes; k < stride; k++) first[x * stride + k] = NOTHING;
            Pixel<LANES, VECTORS, BLOCKS> pixel(layout);
            pixel.load(unary + p * stride);
            pixel.softmax();
            pixel.store(pixels + p * stride);
        }
    }
}

}  // namespace
}  // namespace stego
