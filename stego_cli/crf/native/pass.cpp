#include "pass.hpp"

#include <algorithm>

#include "points.hpp"

namespace stego {
namespace {

constexpr int REACH = 2;        // columns that a column's value comes from on both sides
constexpr int LEAST_PART = 2;   // panels; at the ends of a part some columns are blurred twice
constexpr int PARTS_EACH = 2;   // for each thread, so that one which is held up does not hold up the others

}  // namespace

Pass::Pass(Shape shape, const std::vector<const SpatialLattice*>& lattices, const Team& team)
    : shape_(shape), shared_(lattices.size()) {
    const int most = team.size() == 1 ? 1 : PARTS_EACH * team.size();
    const Shares shares{panels(shape), std::clamp(panels(shape) / LEAST_PART, 1, most)};
    for (int part = 0; part <= shares.parts; part++) bounds_.push_back(static_cast<int>(shares.begin(part)));
    for (std::size_t i = 0; i < lattices.size(); i++) {
        Wave wave = lattices[i]->wave();
        const Columns& columns = wave.columns;
        Shared& shared = shared_[i];
        shared.ready.assign(columns.count, -1);
        for (int part = 1; part < shares.parts; part++) {
            const int panel = bounds_[part], from = columns.first[panel] - REACH, to = columns.last[panel - 1] + REACH;
            for (int t = std::max(from, 0); t <= std::min(to, columns.count - 1); t++) {
                if (shared.ready[t] >= 0) continue;
                shared.columns.push_back(t);
                shared.ready[t] = static_cast<std::int32_t>(shared.rows);
                shared.rows += columns.start[t + 1] - columns.start[t];
            }
        }
        wave.ready = shared.ready.data();
        waves_.push_back(wave);
    }
}

void Pass::run(const Kernels& kernels, const Layout& layout, const std::vector<Slice>& slices, const float* unary,
               float* pixels, Into into, Team& team) {
    std::size_t scratch = 0;
    for (std::size_t i = 0; i < waves_.size(); i++) {
        const Wave& wave = waves_[i];
        Shared& shared = shared_[i];
        scratch += wave_scratch(wave.columns, layout);
        float* sums = shared.sums.ready(shared.rows * layout.stride());
        waves_[i].sums = sums;
        team.each(static_cast<std::int64_t>(shared.columns.size()), 1, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t c = from; c < to; c++) {
                const int t = shared.columns[c], start = wave.columns.start[t];
                float* rows = sums + std::size_t(shared.ready[t]) * layout.stride();
                kernels.splat(wave.splat.from(start), layout, pixels, rows, 0, wave.columns.start[t + 1] - start);
            }
        });
    }
    team.each(static_cast<std::int64_t>(bounds_.size()) - 1, 1, [&](std::int64_t from, std::int64_t to) {
        thread_local Buffer<float> space;
        const Update update{waves_.data(), static_cast<int>(waves_.size()), slices.data(),
                            static_cast<int>(slices.size()), unary, pixels, space.ready(scratch), shape_,
                            bounds_[from], bounds_[to], into};
        kernels.update(update, layout);
    });
}

}  // namespace stego
