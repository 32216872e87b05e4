#include "lattice.hpp"

#include <algorithm>
#include <cmath>

#include "points.hpp"

namespace stego {

std::size_t Lattice::bytes() const {
    return vertex_.bytes() + first_.bytes() + pixel_.bytes() + slice_.bytes() + splat_.bytes() + ones_.bytes() +
           counts_.capacity() * sizeof(std::int32_t);
}

void Lattice::drop_scratch() {
    ones_.release();
    counts_ = {};
}

std::int32_t* Lattice::lists(std::int64_t pixels) {
    const std::int64_t count = pixels * corners_, padding = SOON * corners_;
    slice_.ready(count);
    std::int32_t* vertex = vertex_.ready(count + padding);
    std::fill(vertex + count, vertex + count + padding, 0);
    return vertex;
}

void Lattice::turn(std::int64_t pixels, Team& team) {
    const Shares shares{pixels, std::min(team.size(), 8)};
    const std::size_t count = vertices_;
    counts_.assign(count * shares.parts, 0);
    team.each(shares.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* counts = counts_.data() + part * count;
        for (std::int64_t e = shares.begin(part) * corners_; e < shares.begin(part + 1) * corners_; e++) {
            counts[vertex_.get()[e]]++;
        }
    });
    std::int32_t* first = first_.ready(count + 1);
    std::int32_t place = 0;
    for (std::size_t v = 0; v < count; v++) {
        first[v] = place;
        for (int part = 0; part < shares.parts; part++) {
            std::int32_t& entries = counts_[part * count + v];
            const std::int32_t next = place + entries;
            entries = place;
            place = next;
        }
    }
    first[count] = place;
    std::int32_t* pixel = pixel_.ready(place + LOOK_AHEAD);
    std::fill(pixel + place, pixel + place + LOOK_AHEAD, 0);
    float* splat = splat_.ready(place);
    team.each(shares.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* next = counts_.data() + part * count;
        for (std::int64_t p = shares.begin(part); p < shares.begin(part + 1); p++) {
            for (std::int64_t e = p * corners_; e < (p + 1) * corners_; e++) {
                const std::int32_t to = next[vertex_.get()[e]]++;
                pixel[to] = static_cast<std::int32_t>(p);
                splat[to] = slice_.get()[e];
            }
        }
    });
}

float* Lattice::ones(std::int64_t pixels) {
    float* ones = ones_.ready(pixels);
    std::fill(ones, ones + pixels, 1.0f);
    return ones;
}

void Lattice::normalise(float* heard, std::int64_t pixels, float compatibility, Team& team) {
    const float alpha = 1.0f / (1.0f + std::ldexp(1.0f, 1 - corners_));
    team.each(pixels, 8192, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t p = from; p < to; p++) {
            heard[p] = 1.0f / std::sqrt(alpha * heard[p] + 1e-20f);
            for (int r = 0; r < corners_; r++) slice_.get()[p * corners_ + r] *= alpha * compatibility * heard[p];
        }
    });
    team.each(pixels * corners_, 65536, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t e = from; e < to; e++) splat_.get()[e] *= heard[pixel_.get()[e]];
    });
}

}  // namespace stego
