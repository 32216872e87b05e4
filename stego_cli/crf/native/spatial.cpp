#include <algorithm>

#include "lattice.hpp"
#include "points.hpp"

namespace stego {

SpatialLattice::SpatialLattice(const Kernels& kernels, Shape shape, const Kernel& kernel, Team& team)
    : Lattice(PLANE + 1) {
    const std::int64_t pixels = shape.pixels();
    const double most[PLANE] = {shape.width / kernel.space, shape.height / kernel.space};
    const Packing packing = pack(PLANE, most);
    std::int32_t* vertex = lists(pixels);
    float* weight = slice_.get();
    Buffer<std::int32_t> column;
    column.ready(pixels * corners_);
    // Moving along the third axis changes neither coordinate's difference: it tells the column.
    team.each(panels(shape), 1, [&](std::int64_t from, std::int64_t to) {
        each_row(shape, from, to, [&](std::int64_t pixel, int y, int x, int width) {
            float features[PLANE * PANEL];
            Simplices found;
            positions(features, y, x, kernel.space);
            kernels.simplices(PLANE, features, packing, &found);
            for (int i = 0; i < width; i++) {
                for (int r = 0; r < corners_; r++) {
                    const std::int64_t e = (pixel + i) * corners_ + r, key = found.key[r][i];
                    const std::int64_t second = coordinate(packing, key, 1);
                    vertex[e] = static_cast<std::int32_t>(second);
                    column.get()[e] = static_cast<std::int32_t>((coordinate(packing, key, 0) - second) / corners_);
                    weight[e] = found.weight[r][i];
                }
            }
        });
    });
    const auto ends = std::minmax_element(column.get(), column.get() + pixels * corners_);
    const std::int32_t leftmost = *ends.first, count = *ends.second - leftmost + 1;
    std::vector<std::int32_t> high(count, INT32_MIN);
    low_.assign(count, INT32_MAX);
    for (std::int64_t e = 0; e < pixels * corners_; e++) {
        const std::int32_t t = column.get()[e] -= leftmost;
        low_[t] = std::min(low_[t], vertex[e]);
        high[t] = std::max(high[t], vertex[e] + 1);
    }
    start_.assign(count + 1, 0);
    std::int64_t total = 0;
    for (std::int32_t t = 0; t < count; t++) {
        const std::int32_t height = std::max(0, high[t] - low_[t]);
        if (height == 0) low_[t] = 0;
        total += high[t] > low_[t] ? height : 0;
        columns_.tallest = std::max(columns_.tallest, height);
        // Kernels much narrower than a pixel leave nearly all of the dense lattice empty.
        if (total > 16 * pixels + 65536) throw std::range_error("the spatial kernel is too narrow");
        start_[t + 1] = static_cast<std::int32_t>(total);
    }
    vertices_ = static_cast<int>(total);
    for (std::int64_t e = 0; e < pixels * corners_; e++) {
        const std::int32_t t = column.get()[e];
        vertex[e] = start_[t] + vertex[e] - low_[t];
    }
    columns_.count = count;
    columns_.start = start_.data();
    columns_.low = low_.data();
    turn(pixels, team);
    normalise(kernels, pixels, kernel.compatibility, team);
    drop_scratch();
}

void SpatialLattice::filter(const Kernels& kernels, const Layout& layout, const float* pixels, float* values,
                            Team& team) const {
    // Each part repeats two columns of its neighbours on both sides, so parts are not made too narrow.
    const int grain = std::max(64, (columns_.count + 4 * team.size() - 1) / (4 * team.size()));
    team.each(columns_.count, team.size() == 1 ? columns_.count : grain, [&](std::int64_t from, std::int64_t to) {
        thread_local Buffer<float> scratch;
        kernels.wave(splat(), columns_, layout, pixels, values, scratch.ready(wave_scratch(columns_, layout)),
                     static_cast<int>(from), static_cast<int>(to));
    });
}

std::size_t SpatialLattice::bytes() const {
    return Lattice::bytes() + (start_.capacity() + low_.capacity()) * sizeof(std::int32_t);
}

}  // namespace stego
