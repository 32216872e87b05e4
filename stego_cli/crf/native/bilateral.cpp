// Building a photograph's lattice costs as much as several iterations of filtering, so every step of it is either one
// pass over memory or a batch of hash lookups whose slots were fetched before.
#include <algorithm>

#include "lattice.hpp"
#include "pass.hpp"
#include "points.hpp"

namespace stego {
namespace {

constexpr int AXES = COLOUR + 1;
constexpr int SMALL_BLOCK = 512;      // vertices; smaller cells are joined
constexpr int MOST_PARTS = 8;         // that insert vertices at once; joining them is one thread's work
constexpr int MANY_CELLS = 1 << 20;   // beyond this number cells share a place, which costs locality only

// The keys met last, in memory that is always near: most vertices of a pixel are its neighbour's too.
struct Recent {
    struct Entry {
        std::int64_t key = -1;
        std::int32_t id = 0;
    };
    Entry entries[1024];
    Entry& at(std::int64_t key) { return entries[static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15u >> 54]; }
};

Shares shared(const Shape& shape, const Team& team) {
    return {panels(shape), std::min({team.size(), MOST_PARTS, panels(shape)})};
}

// Vertices that differ by steps along three axes alone lie in one cell: what those axes leave unchanged numbers it.
// Axes 3 to 5 leave x and y nearly alone, axes 0 to 2 two directions of colour.
void cell_of(const Packing& packing, std::int64_t key, int first_axis, std::int32_t cell[2]) {
    std::int64_t at[AXES], sum = 0;
    for (int i = 0; i < COLOUR; i++) sum += at[i] = coordinate(packing, key, i);
    at[COLOUR] = -sum;
    const int i = first_axis == 0 ? 3 : 0;
    cell[0] = static_cast<std::int32_t>((at[i] - at[i + 1]) / AXES);
    cell[1] = static_cast<std::int32_t>((at[i + 1] - at[i + 2]) / AXES);
}

// Sorts 0..count by cell, the lesser number first within one: `sorted`, and where each cell begins.
void sort_by_cell(const std::vector<std::int64_t>& keys, const Packing& packing, int first_axis,
                  std::vector<std::int32_t>& sorted, std::vector<std::int32_t>& begin,
                  std::vector<std::int32_t>& cells) {
    const std::size_t count = keys.size();
    cells.resize(2 * count);
    std::int32_t low[2] = {INT32_MAX, INT32_MAX}, high[2] = {INT32_MIN, INT32_MIN};
    for (std::size_t v = 0; v < count; v++) {
        cell_of(packing, keys[v], first_axis, &cells[2 * v]);
        for (int i = 0; i < 2; i++) {
            low[i] = std::min(low[i], cells[2 * v + i]);
            high[i] = std::max(high[i], cells[2 * v + i]);
        }
    }
    const std::int64_t wide = std::int64_t(high[1]) - low[1] + 1, all = (std::int64_t(high[0]) - low[0] + 1) * wide;
    const std::int64_t places = std::min<std::int64_t>(all, MANY_CELLS);
    begin.assign(places + 1, 0);
    for (std::size_t v = 0; v < count; v++) {
        const std::int64_t cell = (cells[2 * v] - low[0]) * wide + cells[2 * v + 1] - low[1];
        cells[v] = static_cast<std::int32_t>(all > places ? cell % places : cell);
        begin[cells[v] + 1]++;
    }
    for (std::int64_t i = 0; i < places; i++) begin[i + 1] += begin[i];
    sorted.resize(count);
    for (std::size_t v = 0; v < count; v++) sorted[begin[cells[v]]++] = static_cast<std::int32_t>(v);
    for (std::int64_t i = places; i > 0; i--) begin[i] = begin[i - 1];
    begin[0] = 0;
}

}  // namespace

void BilateralLattice::build(const Kernels& kernels, Shape shape, const std::uint8_t* image, const Kernel& kernel,
                             const Meanwhile& meanwhile, Team& team) {
    const double wide = shape.width / kernel.space, tall = shape.height / kernel.space, deep = 255 / kernel.colour;
    const double most[COLOUR] = {wide, tall, deep, deep, deep};
    const Packing packing = pack(COLOUR, most);
    insert(kernels, shape, image, kernel, packing, team);
    team.each(1 + meanwhile.count, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; i++) i == 0 ? join() : meanwhile.work(i - 1, i);
    });
    order(shape, packing, team);
    link(packing, team);
    team.each(2, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t sweep = from; sweep < to; sweep++) flatten(static_cast<int>(sweep));
    });
    turn(shape.pixels(), team);
    float* heard = ones(shape.pixels());
    filter(kernels, SINGLE, heard, values_.ready(vertices_), team);
    Pass(shape, {}, team).run(kernels, SINGLE, {slice(values_.get())}, nullptr, heard, Into::SUM, team);
    normalise(heard, shape.pixels(), kernel.compatibility, team);
    if (shape.pixels() > LARGE_PHOTOGRAPH) drop_scratch();
}

void BilateralLattice::drop_scratch() {
    Lattice::drop_scratch();
    tables_.clear();
    leads_.clear();
    for (int i = 0; i < 2; i++) {
        sorted_[i] = {};
        begin_[i] = {};
        cells_[i] = {};
    }
    next_.release();
    behind_.release();
    values_.release();
}

// Gives every vertex a number in the order of its first appearance, in tables of parts of the image.
void BilateralLattice::insert(const Kernels& kernels, Shape shape, const std::uint8_t* image, const Kernel& kernel,
                              const Packing& packing, Team& team) {
    const Shares shares = shared(shape, team);
    if (tables_.size() < static_cast<std::size_t>(shares.parts)) tables_ = std::vector<Table>(shares.parts);
    std::int32_t* vertex = lists(shape.pixels());
    float* weight = slice_.get();
    float shade[256];
    for (int i = 0; i < 256; i++) shade[i] = static_cast<float>(i) / kernel.colour;
    team.each(shares.parts, 1, [&](std::int64_t part, std::int64_t) {
        Table& table = tables_[part];
        table.begin(shape.pixels() / shares.parts);
        Recent recent;
        each_row(shape, shares.begin(part), shares.begin(part + 1), [&](std::int64_t pixel, int y, int x, int width) {
            float features[COLOUR * PANEL] = {};
            Simplices found;
            positions(features, y, x, kernel.space);
            const std::uint8_t* colours = image + (std::size_t(y) * shape.width + x) * 3;
            for (int i = 0; i < width; i++) {  // blue first, as the published evaluation has it
                for (int c = 0; c < 3; c++) features[(4 - c) * PANEL + i] = shade[colours[3 * i + c]];
            }
            kernels.simplices(COLOUR, features, packing, &found);
            // First what was met a moment ago; the slots of the rest are on their way while that goes on.
            int missed[AXES * PANEL], misses = 0;
            for (int i = 0; i < width; i++) {
                for (int r = 0; r < AXES; r++) {
                    const std::int64_t key = found.key[r][i], e = (pixel + i) * AXES + r;
                    weight[e] = found.weight[r][i];
                    const Recent::Entry& entry = recent.at(key);
                    vertex[e] = entry.id;
                    if (entry.key != key) {
                        table.fetch(key);
                        missed[misses++] = r * PANEL + i;
                    }
                }
            }
            for (int m = 0; m < misses; m++) {
                const int r = missed[m] / PANEL, i = missed[m] % PANEL;
                const std::int64_t key = found.key[r][i];
                const std::int32_t id = table.insert(key);
                recent.at(key) = {key, id};
                vertex[(pixel + i) * AXES + r] = id;
            }
        });
    });
    leads_.resize(shares.parts);
}

// Puts the keys of all parts into the first one's table.
void BilateralLattice::join() {
    for (std::size_t part = 1; part < leads_.size(); part++) {
        const std::vector<std::int64_t>& keys = tables_[part].keys();
        leads_[part].resize(keys.size());
        for (std::size_t v = 0; v < keys.size(); v++) {
            if (v + LOOK_AHEAD < keys.size()) tables_[0].fetch(keys[v + LOOK_AHEAD]);
            leads_[part][v] = tables_[0].insert(keys[v]);
        }
    }
    vertices_ = static_cast<int>(tables_[0].keys().size());
}

// Numbers the vertices by cell of the second sweep, in which vertices near each other in the image lie together.
void BilateralLattice::order(Shape shape, const Packing& packing, Team& team) {
    const std::vector<std::int64_t>& keys = tables_[0].keys();
    team.each(2, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t sweep = from; sweep < to; sweep++) {
            sort_by_cell(keys, packing, sweep == 0 ? 0 : 3, sorted_[sweep], begin_[sweep], cells_[sweep]);
        }
    });
    std::vector<std::int32_t>& number = cells_[0];  // of use no more
    for (int i = 0; i < vertices_; i++) number[sorted_[1][i]] = i;
    for (int i = 0; i < vertices_; i++) {
        sorted_[0][i] = number[sorted_[0][i]];
        sorted_[1][i] = i;
    }
    const Shares shares = shared(shape, team);
    team.each(shares.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* vertex = vertex_.get();
        const std::int32_t* lead = leads_[part].data();
        const std::int64_t pixels = shape.pixels(), column = std::int64_t(shape.height) * PANEL;
        const std::int64_t begin = std::min(pixels, shares.begin(part) * column) * AXES;
        const std::int64_t end = std::min(pixels, shares.begin(part + 1) * column) * AXES;
        for (std::int64_t e = begin; e < end; e++) vertex[e] = number[part > 0 ? lead[vertex[e]] : vertex[e]];
    });
}

// Finds each vertex's neighbour ahead on every axis: all coordinates one more, that of the axis COLOUR less.
void BilateralLattice::link(const Packing& packing, Team& team) {
    const Table& table = tables_[0];
    const std::size_t count = vertices_;
    const std::int32_t* number = cells_[0].data();
    std::int32_t* next = next_.ready(count * AXES);
    std::uint8_t* behind = behind_.ready(count * AXES);
    std::fill(behind, behind + count * AXES, std::uint8_t(0));
    std::int64_t ones = 0, step[AXES];
    for (int i = 0; i < COLOUR; i++) ones += std::int64_t(1) << packing.shift[i];
    for (int j = 0; j < AXES; j++) step[j] = j < COLOUR ? ones - (std::int64_t(AXES) << packing.shift[j]) : ones;
    team.each(count, 4096, [&](std::int64_t from, std::int64_t to) {
        const std::int64_t* keys = table.keys().data();
        for (std::int64_t v = from; v < to; v++) {
            if (v + LOOK_AHEAD < to) {
                for (int j = 0; j < AXES; j++) table.fetch(keys[v + LOOK_AHEAD] + step[j]);
            }
            for (int j = 0; j < AXES; j++) {
                const std::int32_t found = table.find(keys[v] + step[j]);
                next[j * count + number[v]] = found < 0 ? -1 : number[found];
                if (found >= 0) behind[j * count + number[found]] = 1;
            }
        }
    });
}

// Lists the chains of one sweep, cell by cell and axis by axis.
void BilateralLattice::flatten(int sweep) {
    const std::vector<std::int32_t>&sorted = sorted_[sweep], &begin = begin_[sweep];
    const int first_axis = sweep == 0 ? 0 : 3;
    const std::size_t count = vertices_;
    Chains& chains = chains_[sweep];
    chains.vertex.clear();
    chains.chain.clear();
    chains.block.assign(1, 0);
    chains.size.clear();
    std::int32_t pending = 0;
    for (std::size_t cell = 0; cell + 1 < begin.size(); cell++) {
        for (int axis = first_axis; axis < first_axis + 3; axis++) {
            const std::int32_t* next = next_.get() + axis * count;
            const std::uint8_t* behind = behind_.get() + axis * count;
            for (std::int32_t i = begin[cell]; i < begin[cell + 1]; i++) {
                std::int32_t v = sorted[i];
                if (behind[v] || next[v] < 0) continue;  // inside a chain, or alone: blurring leaves it as it is
                chains.chain.push_back(static_cast<std::int32_t>(chains.vertex.size()));
                for (; v >= 0; v = next[v]) chains.vertex.push_back(v);
            }
        }
        pending += begin[cell + 1] - begin[cell];
        if (pending >= SMALL_BLOCK || cell + 2 == begin.size()) {
            chains.block.push_back(static_cast<std::int32_t>(chains.chain.size()));
            chains.size.push_back(pending);
            pending = 0;
        }
    }
    chains.chain.push_back(static_cast<std::int32_t>(chains.vertex.size()));
    chains.vertex.insert(chains.vertex.end(), LOOK_AHEAD, 0);
}

void BilateralLattice::filter(const Kernels& kernels, const Layout& layout, const float* pixels, float* values,
                              Team& team) const {
    team.each(vertices_, 2048, [&](std::int64_t from, std::int64_t to) {
        kernels.splat(splat(), layout, pixels, values, static_cast<int>(from), static_cast<int>(to));
    });
    for (const Chains& chains : chains_) {
        const Sweep sweep{chains.vertex.data(), chains.chain.data(), chains.block.data(), chains.size.data()};
        team.each(static_cast<std::int64_t>(chains.size.size()), 2, [&](std::int64_t from, std::int64_t to) {
            kernels.blur(sweep, layout, values, static_cast<int>(from), static_cast<int>(to));
        });
    }
}

std::size_t BilateralLattice::bytes() const {
    std::size_t all = Lattice::bytes() + next_.bytes() + behind_.bytes() + values_.bytes();
    for (const Table& table : tables_) all += table.bytes();
    for (int i = 0; i < 2; i++) {
        all += (sorted_[i].capacity() + begin_[i].capacity() + cells_[i].capacity() + chains_[i].vertex.capacity() +
                chains_[i].chain.capacity() + chains_[i].block.capacity() + chains_[i].size.capacity()) *
               sizeof(std::int32_t);
    }
    return all;
}

}  // namespace stego
