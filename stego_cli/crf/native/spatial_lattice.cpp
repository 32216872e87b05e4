#include <algorithm>

#include "keys.hpp"
#include "lattice.hpp"
#include "panels.hpp"
#include "update_pass.hpp"

namespace stego {

SpatialLattice::SpatialLattice(const Loops& loops, Shape shape, const Kernel& kernel, Team& team)
    : Lattice(SPATIAL_DIMENSIONS + 1) {
    const std::int64_t pixels = shape.pixels();
    const double most[SPATIAL_DIMENSIONS] = {shape.width / kernel.sxy, shape.height / kernel.sxy};
    const Packing packing = pack(SPATIAL_DIMENSIONS, most);
    std::int32_t* vertex = allocate_lists(pixels);
    float* weight = slice_weights_.get();
    std::vector<std::int32_t> column(pixels * corners_);
    // A step along the third axis does not change the difference of the two coordinates: it numbers the columns.
    team.each(panels(shape), 1, [&](std::int64_t from, std::int64_t to) {
        each_line(shape, from, to, [&](std::int64_t pixel, int y, int x, int width) {
            float features[SPATIAL_DIMENSIONS * PANEL];
            Simplices found;
            positions(features, y, x, kernel.sxy);
            loops.simplices(SPATIAL_DIMENSIONS, features, packing, &found);
            for (int i = 0; i < width; i++) {
                for (int r = 0; r < corners_; r++) {
                    const std::int64_t e = (pixel + i) * corners_ + r, key = found.key[r][i];
                    const std::int64_t second = coordinate(packing, key, 1);
                    vertex[e] = static_cast<std::int32_t>(second);
                    column[e] = static_cast<std::int32_t>((coordinate(packing, key, 0) - second) / corners_);
                    weight[e] = found.weight[r][i];
                }
            }
        });
    });
    number_vertices(column);
    invert_lists(pixels, team);
    place_in_ring(shape, column);
    float* filtered_ones = ones(pixels);
    UpdatePass(shape, {this}, team).run(loops, SCALAR_LAYOUT, {}, nullptr, filtered_ones, Output::SUM, team);
    normalise(filtered_ones, pixels, kernel.compat, team);
    release_scratch();
}

// Replaces the second coordinates in vertex_ by numbers, column by column, and numbers the columns from 0.
void SpatialLattice::number_vertices(std::vector<std::int32_t>& column) {
    const auto ends = std::minmax_element(column.begin(), column.end());
    const std::int32_t leftmost = *ends.first, count = *ends.second - leftmost + 1;
    std::vector<std::int32_t> high(count, INT32_MIN);
    low_.assign(count, INT32_MAX);
    for (std::size_t e = 0; e < column.size(); e++) {
        const std::int32_t t = column[e] -= leftmost;
        low_[t] = std::min(low_[t], vertex_.get()[e]);
        high[t] = std::max(high[t], vertex_.get()[e] + 1);
    }
    start_.assign(count + 1, 0);
    std::int64_t total = 0;
    for (std::int32_t t = 0; t < count; t++) {
        const std::int32_t height = std::max(0, high[t] - low_[t]);
        if (height == 0) low_[t] = 0;
        total += high[t] > low_[t] ? height : 0;
        columns_.tallest = std::max(columns_.tallest, height);
        // The dense lattice of a kernel much narrower than a pixel is nearly all empty.
        if (total > 16 * static_cast<std::int64_t>(column.size()) / corners_ + 65536) {
            throw std::range_error("the spatial kernel is too narrow");
        }
        start_[t + 1] = static_cast<std::int32_t>(total);
    }
    vertices_ = static_cast<int>(total);
    for (std::size_t e = 0; e < column.size(); e++) {
        vertex_.get()[e] += start_[column[e]] - low_[column[e]];
    }
    columns_.count = count;
    columns_.start = start_.data();
    columns_.low = low_.data();
}

// Replaces the numbers in vertex_ by places in the ring of columns that one panel needs.
void SpatialLattice::place_in_ring(Shape shape, const std::vector<std::int32_t>& column) {
    columns_.span = 1;
    for (int panel = 0; panel < panels(shape); panel++) {
        const std::int64_t most = std::int64_t(PANEL) * shape.height * corners_, begin = panel * most;
        const auto end = column.begin() + std::min<std::int64_t>(begin + most, column.size());
        const auto ends = std::minmax_element(column.begin() + begin, end);
        first_column_.push_back(*ends.first);
        last_column_.push_back(*ends.second);
        columns_.span = std::max(columns_.span, *ends.second - *ends.first + 1);
    }
    columns_.first = first_column_.data();
    columns_.last = last_column_.data();
    for (std::size_t e = 0; e < column.size(); e++) {
        const int t = column[e];
        vertex_.get()[e] += t % columns_.span * columns_.tallest - start_[t];
    }
}

std::size_t SpatialLattice::bytes() const {
    return Lattice::bytes() + (start_.capacity() + low_.capacity() + first_column_.capacity() +
                               last_column_.capacity()) * sizeof(std::int32_t);
}

}  // namespace stego
