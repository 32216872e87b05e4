// Slice and softmax: what a pixel hears from all kernels, its own unary, and the normalisation, in one pass.
#pragma once
#include <math.h>

#include "transpose.hpp"
#include "wave.hpp"

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

    // unary + all slices; those of the first `near` are in cache, the others are fetched before their turn.
    STEGO_INLINE void gather(const Slice* slices, int near, int count, const float* unary, std::int64_t pixel,
                             int stride) {
        for (int b = 0; b < blocks; b++) {
            R row;
            row.load(unary + pixel * stride + b * R::width);
            for (int s = 0; s < count; s++) {
                const int corners = slices[s].corners;
                const std::int32_t* vertex = slices[s].vertex + pixel * corners;
                const float* weight = slices[s].weight + pixel * corners;
                for (int r = 0; r < corners; r++) {
                    if (s >= near) fetch<R>(slices[s].values + std::size_t(vertex[SOON * corners + r]) * stride);
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

    STEGO_INLINE void log_softmax() {
        const float most = largest();
        typename R::V sum{};
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) sum += exponential<LANES>(rows[b].part[k] - most);
        }
        const float shift = most + logf(joined<LANES>(sum, true));
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) {
                rows[b].part[k] = larger(rows[b].part[k] - shift, typename R::V{} + LEAST_LOG);
            }
        }
    }

    STEGO_INLINE void softmax() {
        const float scale = 1.0f / exponentiate(largest());
        for (int b = 0; b < blocks; b++) {
            for (int k = 0; k < VECTORS; k++) rows[b].part[k] = scale * rows[b].part[k];
        }
    }
};

// A panel is 16 columns, or what is left of them; its pixels follow each other row by row.
STEGO_INLINE int panel_width(const Shape& shape, int panel) {
    const int left = shape.width - panel * PANEL;
    return left < PANEL ? left : PANEL;
}

// Calls act(slices, pixel) for the pixels of all panels, once their vertices are blurred.
template <class R, int BLOCKS, class Act> void each_pixel(const Update& update, const Layout& layout, Act act) {
    Front<R, BLOCKS> fronts[MOST_KERNELS];
    Slice slices[MOST_KERNELS];
    float* scratch = update.scratch;
    for (int w = 0; w < update.wave_count; w++) {
        fronts[w].start(update.waves[w], update.from, update.pixels, scratch, layout.stride());
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

template <int LANES, int VECTORS, int BLOCKS> void update_rows(const Update& update, const Layout& layout) {
    const int stride = layout.stride(), near = update.wave_count, count = near + update.slice_count;
    each_pixel<Row<LANES, VECTORS>, BLOCKS>(update, layout, [&](const Slice* slices, std::int64_t p) {
        Pixel<LANES, VECTORS, BLOCKS> pixel(layout);
        pixel.gather(slices, near, count, update.unary, p, stride);
        update.into == Into::PROBABILITIES ? pixel.softmax() : pixel.log_softmax();
        pixel.store(update.pixels + p * stride);
    });
}

// For rows of a single class: the sum of all slices.
STEGO_INLINE void update_single(const Update& update, const Layout& layout) {
    const int count = update.wave_count + update.slice_count;
    each_pixel<Single, 1>(update, layout, [&](const Slice* slices, std::int64_t p) {
        float sum = 0.0f;
        for (int s = 0; s < count; s++) {
            for (int r = 0; r < slices[s].corners; r++) {
                const std::int64_t e = p * slices[s].corners + r;
                sum += slices[s].weight[e] * slices[s].values[slices[s].vertex[e]];
            }
        }
        update.pixels[p] = sum;
    });
}

// A whole cache line of each plane at a time: by fours, as on the way in, it takes longer.
STEGO_INLINE void finish_rows(const Layout& layout, const float* pixels, float* planes, const Shape& shape, int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    const float* row = pixels + std::size_t(panel) * PANEL * shape.height * stride;
    for (int y = 0; y < shape.height; y++, row += std::size_t(width) * stride) {
        float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
        for (int k = 0; k < layout.classes; k++, place += shape.pixels()) {
            for (int x = 0; x < width; x++) place[x] = row[x * stride + k];
        }
    }
}

template <int LANES, int VECTORS, int BLOCKS>
void begin_rows(const Layout& layout, const float* planes, float* unary, float* pixels, const Shape& shape, int panel) {
    const int width = panel_width(shape, panel), stride = layout.stride();
    const std::size_t begin = std::size_t(panel) * PANEL * shape.height, row = std::size_t(width) * stride;
    unary += begin * stride;
    pixels += begin * stride;
    for (int y = 0; y <= shape.height; y++) {
        if (y < shape.height) {
            const float* place = planes + std::size_t(y) * shape.width + panel * PANEL;
            transpose(place, shape.pixels(), layout.classes, width, unary + y * row, stride);
            for (int x = 0; x < width; x++) {
                for (int k = layout.classes; k < stride; k++) unary[y * row + x * stride + k] = NOTHING;
            }
        }
        if (y == 0) continue;
        for (int x = 0; x < width; x++) {  // of the row before: what was written just now cannot be read at once
            Pixel<LANES, VECTORS, BLOCKS> pixel(layout);
            pixel.load(unary + (y - 1) * row + x * stride);
            pixel.softmax();
            pixel.store(pixels + (y - 1) * row + x * stride);
        }
    }
}

}  // namespace
}  // namespace stego
