#include "update_pass.hpp"

#include <algorithm>

#include "panels.hpp"

namespace stego {
namespace {

constexpr int REACH = 2;             // columns on either side that a blurred column depends on
constexpr int LEAST_PART = 2;        // panels; at both ends of a part some columns are blurred twice
constexpr int PARTS_PER_THREAD = 2;  // so that one slow thread does not hold up the others

}  // namespace

UpdatePass::UpdatePass(Shape shape, const std::vector<const SpatialLattice*>& lattices, const Team& team)
    : shape_(shape), border_columns_(lattices.size()) {
    const int most = team.size() == 1 ? 1 : PARTS_PER_THREAD * team.size();
    const Partition partition{panels(shape), std::clamp(panels(shape) / LEAST_PART, 1, most)};
    for (int part = 0; part <= partition.parts; part++) bounds_.push_back(static_cast<int>(partition.begin(part)));
    for (std::size_t i = 0; i < lattices.size(); i++) {
        Wave wave = lattices[i]->wave();
        const VertexColumns& columns = wave.columns;
        BorderColumns& border = border_columns_[i];
        border.sums_row.assign(columns.count, -1);
        for (int part = 1; part < partition.parts; part++) {
            const int panel = bounds_[part], from = columns.first[panel] - REACH, to = columns.last[panel - 1] + REACH;
            for (int t = std::max(from, 0); t <= std::min(to, columns.count - 1); t++) {
                if (border.sums_row[t] >= 0) continue;
                border.columns.push_back(t);
                border.sums_row[t] = static_cast<std::int32_t>(border.rows);
                border.rows += columns.start[t + 1] - columns.start[t];
            }
        }
        wave.sums_row = border.sums_row.data();
        waves_.push_back(wave);
    }
}

void UpdatePass::run(const Loops& loops, const Layout& layout, const std::vector<Slice>& slices, const float* unary,
                     float* pixel_rows, Output output, Team& team) {
    std::size_t scratch = 0;
    for (std::size_t i = 0; i < waves_.size(); i++) {
        const Wave& wave = waves_[i];
        BorderColumns& border = border_columns_[i];
        scratch += wave_scratch(wave.columns, layout);
        float* sums = border.sums.ensure(border.rows * layout.stride());
        waves_[i].sums = sums;
        team.each(static_cast<std::int64_t>(border.columns.size()), 1, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t c = from; c < to; c++) {
                const int t = border.columns[c], start = wave.columns.start[t];
                float* rows = sums + std::size_t(border.sums_row[t]) * layout.stride();
                loops.splat(wave.splat.from(start), layout, pixel_rows, rows, 0, wave.columns.start[t + 1] - start);
            }
        });
    }
    team.each(static_cast<std::int64_t>(bounds_.size()) - 1, 1, [&](std::int64_t from, std::int64_t to) {
        thread_local Buffer<float> space;
        const PixelUpdate update{waves_.data(), static_cast<int>(waves_.size()), slices.data(),
                                 static_cast<int>(slices.size()), unary, pixel_rows, space.ensure(scratch), shape_,
                                 bounds_[from], bounds_[to], output};
        loops.update_pixels(update, layout);
    });
}

}  // namespace stego
