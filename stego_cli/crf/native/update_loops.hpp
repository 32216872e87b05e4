// The update of pixels: slice all kernels, add the unary term and take the softmax, in one pass. And the conversion of
// planes of classes to rows and back.
#pragma once
#include <math.h>

#include "transpose.hpp"
#include "wavefront.hpp"

namespace stego {
namespace {

constexpr float PADDING = -1e30f;          // unary term of the classes that pad a row
constexpr float LEAST_LOG = -69.0775528f;  // log(1e-30): the least log-probability of a result

// The row of one pixel in registers: BLOCKS blocks, or as many as the layout has where BLOCKS is 0.
template <int LANES, int VECTORS, int BLOCKS> struct PixelRow {
    typedef RowBlock<LANES, VECTORS> R;
    R block[BLOCKS > 0 ? BLOCKS : MOST_CLASSES / R::width + 1];
    int blocks;

    STEGO_INLINE explicit PixelRow(const Layout& layout) : blocks(BLOCKS > 0 ? BLOCKS : layout.blocks) {}

    STEGO_INLINE void load(const float* from) {
        for (int b = 0; b < blocks; b++) block[b].load(from + b * R::width);
    }
    STEGO_INLINE void store(float* to) const {
        for (int b = 0; b < blocks; b++) block[b].store(to + b * R::width);
    }

    // unary + all slices. The rows of the first `cached` slices are in cache; those of the others are prefetched.
    STEGO_INLINE void gather(const Slice* slices, int cached, int count, const float* unary, std::int64_t pixel,
                             int stride) {
        for (int b = 0; b < blocks; b++) {
            R row;
            row.load(unary + pixel * stride + b * R::width);
            for (int s = 0; s < count; s++) {
                const int corners = slices[s].corners;
                const std::int32_t* vertex = slices[s].vertex + pixel * corners;
                const float* weight = slices[s].weight + pixel * corners;
                for (int r = 0; r < corners; r++) {
                    if (s >= cached) {
                        prefetch<R>(slices[s].vertex_rows + std::size_t(vertex[PIXELS_AHEAD * corners + r]) * stride);
                    }
                    row.add(weight[r], slices[s].vertex_rows + std::size_t(vertex[r]) * stride + b * R::width);
                }
            }
            block[b] = row;
        }
    }

    STEGO_INLINE float largest() const {
        typename R::V most = block[0].vector[0];
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) most = larger(most, block[b].vector[k]);
        }
        return joined<LANES>(most, false);
    }

    // Replaces the values by exp(values - most) and returns their sum.
    STEGO_INLINE float exponentiate(float most) {
        typename R::V sum{};
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) {
                block[b].vector[k] = exponential<LANES>(block[b].vector[k] - most);
                sum += block[b].vector[k];
            }
        }
        return joined<LANES>(sum, true);
    }

    STEGO_INLINE void log_softmax() {
        const float most = largest();
        typename R::V sum{};
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) sum += exponential<LANES>(block[b].vector[k] - most);
        }
        const float shift = most + logf(joined<LANES>(sum, true));
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) {
                block[b].vector[k] = larger(block[b].vector[k] - shift, typename R::V{} + LEAST_LOG);
            }
        }
    }

    STEGO_INLINE void softmax() {
        const float scale = 1.0f / exponentiate(largest());
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) block[b].vector[k] = scale * block[b].vector[k];
        }
    }
};

STEGO_INLINE int panel_width(const Shape& shape, int panel) {
    const int left = shape.width - panel * PANEL;
    return left < PANEL ? left : PANEL;
}

// Calls act(slices, pixel) for the pixels of all panels of the update, when all their vertices have been blurred.
template <class R, int BLOCKS, class Act> void each_pixel(const PixelUpdate& update, const Layout& layout, Act act) {
    Wavefront<R, BLOCKS> fronts[MOST_KERNELS];
    Slice slices[MOST_KERNELS];
    float* scratch = update.scratch;
    for (int w = 0; w < update.wave_count; w++) {
        fronts[w].start(update.waves[w], update.from, update.pixel_rows, scratch, layout.stride());
        slices[w] = fronts[w].slice();
        scratch += wave_scratch(update.waves[w].columns, layout);
    }
    for (int s = 0; s < update.slice_count; s++) slices[update.wave_count + s] = update.slices[s];
    for (int panel = update.from; panel < update.to; panel++) {
        for (int w = 0; w < update.wave_count; w++) fronts[w].advance(panel);
        std::int64_t pixel = std::int64_t(panel) * PANEL * update.shape.height;
        const std::int64_t end = pixel + std::int64_t(panel_width(update.shape, panel)) * update.shape.height;
        for (; pixel < end; pixel++) act(slices, pixel);
    }
}

template <int LANES, int VECTORS, int BLOCKS> void update_rows(const PixelUpdate& update, const Layout& layout) {
    const int stride = layout.stride(), cached = update.wave_count, count = cached + update.slice_count;
    each_pixel<RowBlock<LANES, VECTORS>, BLOCKS>(update, layout, [&](const Slice* slices, std::int64_t p) {
        PixelRow<LANES, VECTORS, BLOCKS> pixel(layout);
        pixel.gather(slices, cached, count, update.unary, p, stride);
        update.output == Output::PROBABILITIES ? pixel.softmax() : pixel.log_softmax();
        pixel.store(update.pixel_rows + p * stride);
    });
}

// For rows of one value: the sum of all slices.
STEGO_INLINE void update_scalars(const PixelUpdate& update, const Layout& layout) {
    const int count = update.wave_count + update.slice_count;
    each_pixel<Scalar, 1>(update, layout, [&](const Slice* slices, std::int64_t p) {
        float sum = 0.0f;
        for (int s = 0; s < count; s++) {
            for (int r = 0; r < slices[s].corners; r++) {
                const std::int64_t e = p * slices[s].corners + r;
                sum += slices[s].weight[e] * slices[s].vertex_rows[slices[s].vertex[e]];
            }
        }
        update.pixel_rows[p] = sum;
    });
}

// One panel of rows to planes. It writes a cache line of each plane at a time; transposing four by four is slower.
STEGO_INLINE void store_lines(const Layout& layout, const float* pixel_rows, float* planes, const Shape& shape,
                              int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    const float* row = pixel_rows + std::size_t(panel) * PANEL * shape.height * stride;
    for (int y = 0; y < shape.height; y++, row += std::size_t(width) * stride) {
        float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
        for (int k = 0; k < layout.classes; k++, place += shape.pixels()) {
            for (int x = 0; x < width; x++) place[x] = row[x * stride + k];
        }
    }
}

// One panel of planes to rows, and their softmax.
template <int LANES, int VECTORS, int BLOCKS>
void load_lines(const Layout& layout, const float* planes, float* unary, float* pixel_rows, const Shape& shape,
                int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    const std::size_t begin = std::size_t(panel) * PANEL * shape.height, line = std::size_t(width) * stride;
    unary += begin * stride;
    pixel_rows += begin * stride;
    for (int y = 0; y <= shape.height; y++) {
        if (y < shape.height) {
            const float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
            transpose(place, shape.pixels(), layout.classes, width, unary + y * line, stride);
            for (int x = 0; x < width; x++) {
                for (int k = layout.classes; k < stride; k++) unary[y * line + x * stride + k] = PADDING;
            }
        }
        if (y == 0) continue;
        // The softmax is one line behind: a load of what smaller stores have just written would stall.
        for (int x = 0; x < width; x++) {
            PixelRow<LANES, VECTORS, BLOCKS> pixel(layout);
            pixel.load(unary + (y - 1) * line + x * stride);
            pixel.softmax();
            pixel.store(pixel_rows + (y - 1) * line + x * stride);
        }
    }
}

}  // namespace
}  // namespace stego
