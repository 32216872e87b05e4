#include "lattice.hpp"

#include <algorithm>
#include <cmath>

#include "panels.hpp"

namespace stego {

std::size_t Lattice::bytes() const {
    return vertex_.bytes() + first_entry_.bytes() + pixel_.bytes() + slice_weights_.bytes() + splat_weights_.bytes() +
           ones_.bytes() + counts_.capacity() * sizeof(std::int32_t);
}

void Lattice::release_scratch() {
    ones_.release();
    counts_ = {};
}

std::int32_t* Lattice::allocate_lists(std::int64_t pixels) {
    const std::int64_t count = pixels * corners_, padding = PIXELS_AHEAD * corners_;
    slice_weights_.ensure(count);
    std::int32_t* vertex = vertex_.ensure(count + padding);
    std::fill(vertex + count, vertex + count + padding, 0);
    return vertex;
}

void Lattice::invert_lists(std::int64_t pixels, Team& team) {
    const Partition partition{pixels, std::min(team.size(), 8)};
    const std::size_t count = vertices_;
    counts_.assign(count * partition.parts, 0);
    team.each(partition.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* counts = counts_.data() + part * count;
        for (std::int64_t e = partition.begin(part) * corners_; e < partition.begin(part + 1) * corners_; e++) {
            counts[vertex_.get()[e]]++;
        }
    });
    std::int32_t* first_entry = first_entry_.ensure(count + 1);
    std::int32_t place = 0;
    for (std::size_t v = 0; v < count; v++) {
        first_entry[v] = place;
        for (int part = 0; part < partition.parts; part++) {
            std::int32_t& entries = counts_[part * count + v];
            const std::int32_t next = place + entries;
            entries = place;
            place = next;
        }
    }
    first_entry[count] = place;
    std::int32_t* pixel = pixel_.ensure(place + ENTRIES_AHEAD);
    std::fill(pixel + place, pixel + place + ENTRIES_AHEAD, 0);
    float* weight = splat_weights_.ensure(place);
    team.each(partition.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* next = counts_.data() + part * count;
        for (std::int64_t p = partition.begin(part); p < partition.begin(part + 1); p++) {
            for (std::int64_t e = p * corners_; e < (p + 1) * corners_; e++) {
                const std::int32_t to = next[vertex_.get()[e]]++;
                pixel[to] = static_cast<std::int32_t>(p);
                weight[to] = slice_weights_.get()[e];
            }
        }
    });
}

float* Lattice::ones(std::int64_t pixels) {
    float* ones = ones_.ensure(pixels);
    std::fill(ones, ones + pixels, 1.0f);
    return ones;
}

void Lattice::normalise(float* filtered_ones, std::int64_t pixels, float compat, Team& team) {
    const float alpha = 1.0f / (1.0f + std::ldexp(1.0f, 1 - corners_));
    team.each(pixels, 8192, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t p = from; p < to; p++) {
            filtered_ones[p] = 1.0f / std::sqrt(alpha * filtered_ones[p] + 1e-20f);
            for (int r = 0; r < corners_; r++) {
                slice_weights_.get()[p * corners_ + r] *= alpha * compat * filtered_ones[p];
            }
        }
    });
    team.each(pixels * corners_, 65536, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t e = from; e < to; e++) splat_weights_.get()[e] *= filtered_ones[pixel_.get()[e]];
    });
}

}  // namespace stego
