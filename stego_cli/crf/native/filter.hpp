// Splat and blur. All of them move rows between memory and registers once, whatever the number of pixels behind a sum.
#pragma once
#include "rows.hpp"

namespace stego {
namespace {

constexpr int NEAR_CACHE = 512 << 10;  // bytes of a block that stay in a core's own cache while its chains are walked

template <class R>
void splat_rows(const Splat& splat, const float* pixels, float* vertices, int stride, int from, int to) {
    for (int v = from; v < to; v++) {
        R sum;
        gather(sum, splat, v, pixels, stride);
        sum.store(vertices + std::size_t(v) * stride);
    }
}

// v + (left + right) / 2 along a chain, in place: the left neighbour's old value is still in registers.
template <class R> STEGO_INLINE void blur_chain(const std::int32_t* chain, int length, float* vertices, int stride) {
    R left, here;
    left.clear();
    here.load(vertices + std::size_t(chain[0]) * stride);
    for (int i = 0; i < length; i++) {
        fetch<R>(vertices + std::size_t(chain[i + LOOK_AHEAD]) * stride);
        R right, sum = here;
        right.clear();
        if (i + 1 < length) right.load(vertices + std::size_t(chain[i + 1]) * stride);
        sum.add(0.5f, left, right);
        sum.store(vertices + std::size_t(chain[i]) * stride);
        left = here;
        here = right;
    }
}

template <class R> void blur_block(const Sweep& sweep, int block, float* vertices, int stride) {
    for (int c = sweep.block[block]; c < sweep.block[block + 1]; c++) {
        blur_chain<R>(sweep.vertex + sweep.chain[c], sweep.chain[c + 1] - sweep.chain[c], vertices, stride);
    }
}

template <class R, class Narrow>
void blur_rows(const Sweep& sweep, float* vertices, int stride, int from, int to) {
    for (int block = from; block < to; block++) {
        if (sweep.size[block] * std::int64_t(4 * R::width) <= NEAR_CACHE) {
            blur_block<R>(sweep, block, vertices, stride);
        } else {  // too large for the cache as a whole: a few classes at a time
            for (int k = 0; k < R::width; k += Narrow::width) blur_block<Narrow>(sweep, block, vertices + k, stride);
        }
    }
}

}  // namespace
}  // namespace stego
