// From a row's layout to the code compiled for it. Included by each kernels_*.cpp, which names the result.
#pragma once
#include "filter.hpp"
#include "mean_field.hpp"

namespace stego {
namespace {

// Calls act.operator()<LANES, VECTORS>() for the layout.
template <class Act> STEGO_INLINE void for_layout(const Layout& layout, Act act) {
#if STEGO_LANES > 4
    if (layout.lanes == 4) return act.template operator()<4, 1>();
#endif
#if STEGO_LANES > 8
    if (layout.lanes == 8) return act.template operator()<8, 1>();
#endif
    switch (layout.vectors) {
        case 1: return act.template operator()<STEGO_LANES, 1>();
        case 2: return act.template operator()<STEGO_LANES, 2>();
        case 3: return act.template operator()<STEGO_LANES, 3>();
        case 4: return act.template operator()<STEGO_LANES, 4>();
        case 5: return act.template operator()<STEGO_LANES, 5>();
        case 6: return act.template operator()<STEGO_LANES, 6>();
        case 7: return act.template operator()<STEGO_LANES, 7>();
        default: return act.template operator()<STEGO_LANES, 8>();
    }
}

void splat(const Splat& map, const Layout& layout, const float* pixels, float* vertices, int from, int to) {
    if (layout.lanes == 1) return splat_rows<Single>(map, pixels, vertices, 1, from, to);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        for (int k = 0; k < layout.stride(); k += LANES * VECTORS) {
            splat_rows<Row<LANES, VECTORS>>(map, pixels + k, vertices + k, layout.stride(), from, to);
        }
    });
}

void blur(const Sweep& sweep, const Layout& layout, float* vertices, int from, int to) {
    if (layout.lanes == 1) return blur_rows<Single, Single>(sweep, vertices, 1, from, to);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        for (int k = 0; k < layout.stride(); k += LANES * VECTORS) {
            blur_rows<Row<LANES, VECTORS>, Row<LANES, 1>>(sweep, vertices + k, layout.stride(), from, to);
        }
    });
}

void update(const Update& update, const Layout& layout) {
    if (layout.lanes == 1) return update_single(update, layout);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        layout.blocks == 1 ? update_rows<LANES, VECTORS, 1>(update, layout)
                           : update_rows<LANES, VECTORS, 0>(update, layout);
    });
}

void begin(const Layout& layout, const float* planes, float* unary, float* pixels, const Shape& shape, int panel) {
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        layout.blocks == 1 ? begin_rows<LANES, VECTORS, 1>(layout, planes, unary, pixels, shape, panel)
                           : begin_rows<LANES, VECTORS, 0>(layout, planes, unary, pixels, shape, panel);
    });
}

void finish(const Layout& layout, const float* pixels, float* planes, const Shape& shape, int panel) {
    finish_rows(layout, pixels, planes, shape, panel);
}

}  // namespace
}  // namespace stego

#define STEGO_KERNELS(NAME, TITLE, SIMPLICES)                                                        \
    namespace stego {                                                                                \
    extern const Kernels NAME = {TITLE, STEGO_LANES, SIMPLICES, splat, blur, update, begin, finish}; \
    }
