// Splat and blur. Each row is read into registers and written back once, however many terms its sum has.
#pragma once
#include "vectors.hpp"

namespace stego {
namespace {

constexpr int CORE_CACHE = 512 << 10;  // bytes of a group that stay in a core's own cache while its chains are blurred

template <class R>
void splat_rows(const Splat& splat, const float* pixel_rows, float* vertex_rows, int stride, int from, int to) {
    for (int v = from; v < to; v++) {
        R sum;
        gather(sum, splat, v, pixel_rows, stride);
        sum.store(vertex_rows + std::size_t(v) * stride);
    }
}

// v + (left + right) / 2 along a chain, in place: the left neighbour's old value is still in registers.
template <class R>
STEGO_INLINE void blur_chain(const std::int32_t* chain, int length, float* vertex_rows, int stride) {
    R left, here;
    left.clear();
    here.load(vertex_rows + std::size_t(chain[0]) * stride);
    for (int i = 0; i < length; i++) {
        prefetch<R>(vertex_rows + std::size_t(chain[i + ENTRIES_AHEAD]) * stride);
        R right, sum = here;
        right.clear();
        if (i + 1 < length) right.load(vertex_rows + std::size_t(chain[i + 1]) * stride);
        sum.add(0.5f, left, right);
        sum.store(vertex_rows + std::size_t(chain[i]) * stride);
        left = here;
        here = right;
    }
}

template <class R> void blur_group(const Sweep& sweep, int group, float* vertex_rows, int stride) {
    for (int c = sweep.group_begin[group]; c < sweep.group_begin[group + 1]; c++) {
        const std::int32_t begin = sweep.chain_begin[c];
        blur_chain<R>(sweep.vertex + begin, sweep.chain_begin[c + 1] - begin, vertex_rows, stride);
    }
}

template <class R, class Narrow>
void blur_rows(const Sweep& sweep, float* vertex_rows, int stride, int from, int to) {
    for (int group = from; group < to; group++) {
        if (sweep.group_size[group] * std::int64_t(4 * R::width) <= CORE_CACHE) {
            blur_group<R>(sweep, group, vertex_rows, stride);
        } else {  // too large for the cache: one vector of classes at a time
            for (int k = 0; k < R::width; k += Narrow::width) blur_group<Narrow>(sweep, group, vertex_rows + k, stride);
        }
    }
}

}  // namespace
}  // namespace stego
