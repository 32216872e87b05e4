// Filtering with the dense lattice in a wave over the image: columns of vertices are splatted, blurred along all axes
// and sliced, and only the few columns in use are in memory.
#pragma once
#include "filter_loops.hpp"

namespace stego {
namespace {

// The rows of a column of vertices with the second coordinates low to high - 1.
struct VertexColumn {
    const float* rows;
    int low, high;
    const std::int32_t* first_entry;  // see Splat; a vertex without pixels does not exist
    bool exists(int y) const { return first_entry[y - low] < first_entry[y - low + 1]; }
};

// The part of the wave that is in memory while a thread updates its panels from left to right.
template <class R, int BLOCKS> class Wavefront {
  public:
    void start(const Wave& wave, int panel, const float* pixel_rows, float* scratch, int stride) {
        wave_ = &wave;
        pixel_rows_ = pixel_rows;
        scratch_ = scratch;
        stride_ = stride;
        begin_ = wave.columns.first[panel];
        next_ = begin_ - 2;
    }

    // The slice from the columns blurred last.
    Slice slice() const {
        Slice slice = wave_->slice;
        slice.vertex_rows = buffer(6);
        return slice;
    }

    // Blurs all columns with vertices of a panel's pixels. Each step splats column t, blurs column t - 1 along the
    // first axis, and column t - 2 along the second and the third.
    void advance(int panel) {
        for (const int end = wave_->columns.last[panel] + 2; next_ <= end; next_++) {
            const int t = next_, s = t - 1, r = t - 2;
            splatted_[slot(t)] = splat_column(t);
            if (s < begin_ - 1) continue;
            float* once = buffer(3 + slot(s));
            blur_across(splatted_[slot(s - 1)], splatted_[slot(s)], splatted_[slot(t)], 1, once);
            once_[slot(s)] = column(s, once);
            if (r < begin_) continue;
            float* done = buffer(6 + r % wave_->columns.span);
            blur_across(once_[slot(r - 1)], once_[slot(r)], once_[slot(s)], 2, done);
            blur_along(column(r, done), done);
        }
    }

  private:
    static int slot(int t) { return (t + 3) % 3; }
    int stride() const { return BLOCKS > 0 ? BLOCKS * R::width : stride_; }
    std::size_t at(int row) const { return std::size_t(row) * stride(); }
    float* buffer(int i) const { return scratch_ + i * at(wave_->columns.tallest); }  // for one column

    VertexColumn column(int t, const float* rows) const {
        const VertexColumns& columns = wave_->columns;
        if (t < 0 || t >= columns.count) return {rows, 0, 0, nullptr};
        const int low = columns.low[t], start = columns.start[t];
        return {rows, low, low + columns.start[t + 1] - start, wave_->splat.first_entry + start};
    }

    VertexColumn splat_column(int t) const {
        const VertexColumns& columns = wave_->columns;
        float* result = buffer(slot(t));
        if (t < 0 || t >= columns.count) return column(t, result);
        if (wave_->sums_row[t] >= 0) return column(t, wave_->sums + at(wave_->sums_row[t]));
        const Splat splat = wave_->splat.from(columns.start[t]);
        for (int k = 0; k < stride(); k += R::width) {
            splat_rows<R>(splat, pixel_rows_ + k, result + k, stride(), 0, columns.start[t + 1] - columns.start[t]);
        }
        return column(t, result);
    }

    // Blurs across columns: the neighbours of vertex (t, y) are (t - 1, y + shift) and (t + 1, y - shift).
    void blur_across(const VertexColumn& left, const VertexColumn& here, const VertexColumn& right, int shift,
                     float* result) const {
        for (int y = here.low; y < here.high; y++) {
            const int l = y + shift, r = y - shift;
            for (int k = 0; k < stride(); k += R::width) {
                R sum;
                sum.clear();
                if (here.exists(y)) {
                    sum.load(here.rows + at(y - here.low) + k);
                    if (l >= left.low && l < left.high) sum.add(0.5f, left.rows + at(l - left.low) + k);
                    if (r >= right.low && r < right.high) sum.add(0.5f, right.rows + at(r - right.low) + k);
                }
                sum.store(result + at(y - here.low) + k);
            }
        }
    }

    // Blurs along a column, in place.
    void blur_along(const VertexColumn& here, float* rows) const {
        for (int k = 0; k < stride(); k += R::width) {
            R above, middle;
            above.clear();
            if (here.low < here.high) middle.load(rows + k);
            for (int y = here.low; y < here.high; y++) {
                float* row = rows + at(y - here.low) + k;
                R below, sum = middle;
                below.clear();
                if (y + 1 < here.high) below.load(row + stride());
                sum.add(0.5f, above, below);
                if (!here.exists(y)) sum.clear();
                sum.store(row);
                above = middle;
                middle = below;
            }
        }
    }

    const Wave* wave_;
    const float* pixel_rows_;
    float* scratch_;
    int stride_, begin_, next_;
    VertexColumn splatted_[3], once_[3];
};

}  // namespace
}  // namespace stego
