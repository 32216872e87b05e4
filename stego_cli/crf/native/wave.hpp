// The dense lattice of positions: splat and all its blurs in a wave of columns, of which only a few exist at a time.
#pragma once
#include "filter.hpp"

namespace stego {
namespace {

// A column of vertices: rows low to high - 1.
struct Column {
    const float* rows;
    int low, high;
    const std::int32_t* first;  // where each vertex's pixels begin; a vertex without pixels does not exist
    bool exists(int row) const { return first[row - low] < first[row - low + 1]; }
};

template <class R, int BLOCKS> class Front {
  public:
    void start(const Wave& wave, int panel, const float* pixels, float* scratch, int stride) {
        wave_ = &wave;
        pixels_ = pixels;
        scratch_ = scratch;
        row_ = stride;
        begin_ = wave.columns.first[panel];
        next_ = begin_ - 2;
    }

    // The slice of the columns blurred last.
    Slice slice() const {
        Slice slice = wave_->slice;
        slice.values = place(6);
        return slice;
    }

    // Blurs all columns that a panel's pixels have vertices in: t is splatted, t - 1 blurred along the first axis,
    // t - 2 along the second and the third.
    void advance(int panel) {
        for (const int end = wave_->columns.last[panel] + 2; next_ <= end; next_++) {
            const int t = next_, s = t - 1, r = t - 2;
            splatted_[slot(t)] = splatted(t);
            if (s < begin_ - 1) continue;
            float* once = place(3 + slot(s));
            across(splatted_[slot(s - 1)], splatted_[slot(s)], splatted_[slot(t)], 1, once);
            once_[slot(s)] = column(s, once);
            if (r < begin_) continue;
            float* done = place(6 + r % wave_->columns.span);
            across(once_[slot(r - 1)], once_[slot(r)], once_[slot(s)], 2, done);
            along(column(r, done), done);
        }
    }

  private:
    static int slot(int t) { return (t + 3) % 3; }
    int stride() const { return BLOCKS > 0 ? BLOCKS * R::width : row_; }
    std::size_t at(int row) const { return std::size_t(row) * stride(); }
    float* place(int i) const { return scratch_ + i * at(wave_->columns.tallest); }

    Column column(int t, const float* rows) const {
        const Columns& columns = wave_->columns;
        if (t < 0 || t >= columns.count) return {rows, 0, 0, nullptr};
        const int low = columns.low[t], start = columns.start[t];
        return {rows, low, low + columns.start[t + 1] - start, wave_->splat.first + start};
    }

    Column splatted(int t) const {
        const Columns& columns = wave_->columns;
        float* into = place(slot(t));
        if (t < 0 || t >= columns.count) return column(t, into);
        if (wave_->ready[t] >= 0) return column(t, wave_->sums + at(wave_->ready[t]));
        const Splat splat = wave_->splat.from(columns.start[t]);
        for (int k = 0; k < stride(); k += R::width) {
            splat_rows<R>(splat, pixels_ + k, into + k, stride(), 0, columns.start[t + 1] - columns.start[t]);
        }
        return column(t, into);
    }

    // Blur across columns, where a vertex's neighbours are (t - 1, row + shift) and (t + 1, row - shift).
    void across(const Column& left, const Column& here, const Column& right, int shift, float* into) const {
        for (int row = here.low; row < here.high; row++) {
            const int l = row + shift, r = row - shift;
            for (int k = 0; k < stride(); k += R::width) {
                R sum;
                sum.clear();
                if (here.exists(row)) {
                    sum.load(here.rows + at(row - here.low) + k);
                    if (l >= left.low && l < left.high) sum.add(0.5f, left.rows + at(l - left.low) + k);
                    if (r >= right.low && r < right.high) sum.add(0.5f, right.rows + at(r - right.low) + k);
                }
                sum.store(into + at(row - here.low) + k);
            }
        }
    }

    // Blur along a column, in place.
    void along(const Column& here, float* rows) const {
        for (int k = 0; k < stride(); k += R::width) {
            R above, middle;
            above.clear();
            if (here.low < here.high) middle.load(rows + k);
            for (int row = here.low; row < here.high; row++) {
                float* place = rows + at(row - here.low) + k;
                R below, sum = middle;
                below.clear();
                if (row + 1 < here.high) below.load(place + stride());
                sum.add(0.5f, above, below);
                if (!here.exists(row)) sum.clear();
                sum.store(place);
                above = middle;
                middle = below;
            }
        }
    }

    const Wave* wave_;
    const float* pixels_;
    float* scratch_;
    int row_, begin_, next_;
    Column splatted_[3], once_[3];
};

}  // namespace
}  // namespace stego
