#include <algorithm>

#include "lattice.hpp"
#include "pass.hpp"
#include "points.hpp"

namespace stego {

SpatialLattice::SpatialLattice(const Kernels& kernels, Shape shape, const Kernel& kernel, Team& team)
    : Lattice(PLANE + 1) {
    const std::int64_t pixels = shape.pixels();
    const double most[PLANE] = {shape.width / kernel.space, shape.height / kernel.space};
    const Packing packing = pack(PLANE, most);
    std::int32_t* vertex = lists(pixels);
    float* weight = slice_.get();
    std::vector<std::int32_t> column(pixels * corners_);
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
                    column[e] = static_cast<std::int32_t>((coordinate(packing, key, 0) - second) / corners_);
                    weight[e] = found.weight[r][i];
                }
            }
        });
    });
    lay_columns(column);
    turn(pixels, team);
    lay_ring(shape, column);
    float* heard = ones(pixels);
    Pass(shape, {this}, team).run(kernels, SINGLE, {}, nullptr, heard, Into::SUM, team);
    normalise(heard, pixels, kernel.compatibility, team);
    drop_scratch();
}

// From rows of vertices to numbers, column by column; `column` begins with 0 then.
void SpatialLattice::lay_columns(std::vector<std::int32_t>& column) {
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
        // Kernels much narrower than a pixel leave nearly all of the dense lattice empty.
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

// From numbers of vertices to places in the ring of columns that a panel needs at once.
void SpatialLattice::lay_ring(Shape shape, const std::vector<std::int32_t>& column) {
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
