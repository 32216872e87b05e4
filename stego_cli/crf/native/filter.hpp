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

// One column of the dense lattice in the scratch memory of a wave: rows low to high - 1.
struct Column {
    float* rows;
    int low, high;
    const std::int32_t* first;  // where each vertex's pixels begin; a vertex without pixels does not exist
};

// Blur across columns, where a vertex's neighbours are (t - 1, row + shift) and (t + 1, row - shift).
template <class R>
void blur_across(const Column& left, const Column& here, const Column& right, const Column& into, int shift) {
    for (int row = here.low; row < here.high; row++) {
        const int i = row - here.low, l = row + shift, r = row - shift;
        R sum;
        sum.clear();
        if (here.first[i] < here.first[i + 1]) {
            sum.load(here.rows + std::size_t(i) * R::width);
            if (l >= left.low && l < left.high) sum.add(0.5f, left.rows + std::size_t(l - left.low) * R::width);
            if (r >= right.low && r < right.high) sum.add(0.5f, right.rows + std::size_t(r - right.low) * R::width);
        }
        sum.store(into.rows + std::size_t(i) * R::width);
    }
}

// Blur along a column, into the vertices themselves.
template <class R> void blur_along(const Column& here, float* vertices, int stride) {
    R above, middle;
    above.clear();
    const int count = here.high - here.low;
    if (count > 0) middle.load(here.rows);
    for (int i = 0; i < count; i++) {
        R below, sum = middle;
        below.clear();
        if (i + 1 < count) below.load(here.rows + std::size_t(i + 1) * R::width);
        sum.add(0.5f, above, below);
        if (here.first[i] == here.first[i + 1]) sum.clear();
        sum.store(vertices + std::size_t(i) * stride);
        above = middle;
        middle = below;
    }
}

// A wave through the columns: column t is splatted, t - 1 blurred along the first axis, t - 2 along the second and the
// third. Only seven columns are in use at a time, and they stay in cache; the vertices are written once.
template <class R>
void wave_rows(const Splat& splat, const Columns& columns, const float* pixels, float* vertices, float* scratch,
               int stride, int from, int to) {
    Column splatted[3], once[3];
    const std::size_t room = std::size_t(columns.tallest) * R::width;
    auto at = [&](int slot, int t) {
        Column column{scratch + slot * room, 0, 0, splat.first};
        if (t >= 0 && t < columns.count) {
            column.low = columns.low[t];
            column.high = column.low + columns.start[t + 1] - columns.start[t];
            column.first += columns.start[t];
        }
        return column;
    };
    auto ring = [](int t) { return (t + 3) % 3; };
    for (int t = from - 2; t < to + 2; t++) {
        const Column fresh = splatted[ring(t)] = at(ring(t), t);
        for (int i = 0; i < fresh.high - fresh.low; i++) {
            R sum;
            gather(sum, splat, columns.start[t] + i, pixels, stride);
            sum.store(fresh.rows + std::size_t(i) * R::width);
        }
        const int s = t - 1, r = t - 2;
        if (s < from - 1) continue;
        once[ring(s)] = at(3 + ring(s), s);
        blur_across<R>(splatted[ring(s - 1)], splatted[ring(s)], fresh, once[ring(s)], 1);
        if (r < from) continue;
        const Column twice = at(6, r);
        blur_across<R>(once[ring(r - 1)], once[ring(r)], once[ring(s)], twice, 2);
        blur_along<R>(twice, vertices + std::size_t(columns.start[r]) * stride, stride);
    }
}

}  // namespace
}  // namespace stego
