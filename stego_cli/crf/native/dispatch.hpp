// Selects the code that was compiled for a row's layout. Included by each loops_*.cpp, which names the table of loops.
#pragma once
#include "filter_loops.hpp"
#include "update_loops.hpp"

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

void splat(const Splat& lists, const Layout& layout, const float* pixel_rows, float* vertex_rows, int from, int to) {
    if (layout.lanes == 1) return splat_rows<Scalar>(lists, pixel_rows, vertex_rows, 1, from, to);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        for (int k = 0; k < layout.stride(); k += LANES * VECTORS) {
            splat_rows<RowBlock<LANES, VECTORS>>(lists, pixel_rows + k, vertex_rows + k, layout.stride(), from, to);
        }
    });
}

void blur(const Sweep& sweep, const Layout& layout, float* vertex_rows, int from, int to) {
    if (layout.lanes == 1) return blur_rows<Scalar, Scalar>(sweep, vertex_rows, 1, from, to);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        for (int k = 0; k < layout.stride(); k += LANES * VECTORS) {
            blur_rows<RowBlock<LANES, VECTORS>, RowBlock<LANES, 1>>(sweep, vertex_rows + k, layout.stride(), from, to);
        }
    });
}

void update_pixels(const PixelUpdate& update, const Layout& layout) {
    if (layout.lanes == 1) return update_scalars(update, layout);
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        layout.blocks == 1 ? update_rows<LANES, VECTORS, 1>(update, layout)
                           : update_rows<LANES, VECTORS, 0>(update, layout);
    });
}

void load_panel(const Layout& layout, const float* planes, float* unary, float* pixel_rows, const Shape& shape,
                int panel) {
    for_layout(layout, [&]<int LANES, int VECTORS>() {
        layout.blocks == 1 ? load_lines<LANES, VECTORS, 1>(layout, planes, unary, pixel_rows, shape, panel)
                           : load_lines<LANES, VECTORS, 0>(layout, planes, unary, pixel_rows, shape, panel);
    });
}

void store_panel(const Layout& layout, const float* pixel_rows, float* planes, const Shape& shape, int panel) {
    store_lines(layout, pixel_rows, planes, shape, panel);
}

}  // namespace
}  // namespace stego

#define STEGO_LOOPS(NAME, TITLE, SIMPLICES)                                                                         \
    namespace stego {                                                                                               \
    extern const Loops NAME = {TITLE, STEGO_LANES, SIMPLICES, splat, blur, update_pixels, load_panel, store_panel}; \
    }
