// Building a photograph's lattice costs as much as several iterations of filtering. Each step is therefore one pass
// over memory, or a batch of hash lookups whose slots have been prefetched.
#include <algorithm>

#include "keys.hpp"
#include "lattice.hpp"
#include "panels.hpp"
#include "update_pass.hpp"

namespace stego {
namespace {

constexpr int AXES = BILATERAL_DIMENSIONS + 1;
constexpr int LEAST_GROUP = 512;     // vertices; smaller cells are put into one group
constexpr int MOST_PARTS = 8;        // of the image, each with a table; merging the tables is the work of one thread
constexpr int MOST_CELLS = 1 << 20;  // of the counting sort; more cells share a place, which costs locality only

// The keys looked up last, in a table that stays in cache: most vertices of a pixel are also its neighbour's.
struct RecentKeys {
    struct Entry {
        std::int64_t key = -1;
        std::int32_t id = 0;
    };
    Entry entries[1024];
    Entry& at(std::int64_t key) { return entries[static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15u >> 54]; }
};

Partition partition_panels(const Shape& shape, const Team& team) {
    return {panels(shape), std::min({team.size(), MOST_PARTS, panels(shape)})};
}

// Vertices that differ only by steps along three axes lie in one cell, numbered by what steps along these axes leave
// unchanged. Axes 3 to 5 leave x and y nearly unchanged, axes 0 to 2 two directions of colour.
void cell_of(const Packing& packing, std::int64_t key, int first_axis, std::int32_t cell[2]) {
    std::int64_t at[AXES], sum = 0;
    for (int i = 0; i < BILATERAL_DIMENSIONS; i++) sum += at[i] = coordinate(packing, key, i);
    at[BILATERAL_DIMENSIONS] = -sum;
    const int i = first_axis == 0 ? 3 : 0;
    cell[0] = static_cast<std::int32_t>((at[i] - at[i + 1]) / AXES);
    cell[1] = static_cast<std::int32_t>((at[i + 1] - at[i + 2]) / AXES);
}

// Sorts the numbers of the keys by cell, and within a cell by number. cells: the cell of each key.
void sort_by_cell(const std::vector<std::int64_t>& keys, const Packing& packing, int first_axis,
                  std::vector<std::int32_t>& sorted, std::vector<std::int32_t>& cell_begin,
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
    const std::int64_t places = std::min<std::int64_t>(all, MOST_CELLS);
    cell_begin.assign(places + 1, 0);
    for (std::size_t v = 0; v < count; v++) {
        const std::int64_t cell = (cells[2 * v] - low[0]) * wide + cells[2 * v + 1] - low[1];
        cells[v] = static_cast<std::int32_t>(all > places ? cell % places : cell);
        cell_begin[cells[v] + 1]++;
    }
    for (std::int64_t i = 0; i < places; i++) cell_begin[i + 1] += cell_begin[i];
    sorted.resize(count);
    for (std::size_t v = 0; v < count; v++) sorted[cell_begin[cells[v]]++] = static_cast<std::int32_t>(v);
    for (std::int64_t i = places; i > 0; i--) cell_begin[i] = cell_begin[i - 1];
    cell_begin[0] = 0;
}

}  // namespace

void BilateralLattice::build(const Loops& loops, Shape shape, const std::uint8_t* image, const Kernel& kernel,
                             const IndependentWork& independent, Team& team) {
    const double wide = shape.width / kernel.sxy, tall = shape.height / kernel.sxy, deep = 255 / kernel.srgb;
    const double most[BILATERAL_DIMENSIONS] = {wide, tall, deep, deep, deep};
    const Packing packing = pack(BILATERAL_DIMENSIONS, most);
    find_vertices(loops, shape, image, kernel, packing, team);
    team.each(1 + independent.count, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; i++) i == 0 ? merge_tables() : independent.work(i - 1, i);
    });
    number_vertices(shape, packing, team);
    find_neighbours(packing, team);
    team.each(2, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t sweep = from; sweep < to; sweep++) list_chains(static_cast<int>(sweep));
    });
    invert_lists(shape.pixels(), team);
    float* filtered_ones = ones(shape.pixels());
    filter(loops, SCALAR_LAYOUT, filtered_ones, vertex_sums_.ensure(vertices_), team);
    UpdatePass(shape, {}, team)
        .run(loops, SCALAR_LAYOUT, {slice(vertex_sums_.get())}, nullptr, filtered_ones, Output::SUM, team);
    normalise(filtered_ones, shape.pixels(), kernel.compat, team);
    if (shape.pixels() > LARGE_PHOTOGRAPH) release_scratch();
}

void BilateralLattice::release_scratch() {
    Lattice::release_scratch();
    tables_.clear();
    merged_ids_.clear();
    for (int i = 0; i < 2; i++) {
        sorted_[i] = {};
        cell_begin_[i] = {};
        cells_[i] = {};
    }
    next_.release();
    has_previous_.release();
    vertex_sums_.release();
}

// Lists each pixel's vertices and weights. Each part of the image numbers its vertices in the order of their first use.
void BilateralLattice::find_vertices(const Loops& loops, Shape shape, const std::uint8_t* image,
                                     const Kernel& kernel, const Packing& packing, Team& team) {
    const Partition partition = partition_panels(shape, team);
    if (tables_.size() < static_cast<std::size_t>(partition.parts)) tables_ = std::vector<KeyTable>(partition.parts);
    std::int32_t* vertex = allocate_lists(shape.pixels());
    float* weight = slice_weights_.get();
    float scaled[256];  // a channel in units of the deviation
    for (int i = 0; i < 256; i++) scaled[i] = static_cast<float>(i) / kernel.srgb;
    team.each(partition.parts, 1, [&](std::int64_t part, std::int64_t) {
        KeyTable& table = tables_[part];
        table.reset(shape.pixels() / partition.parts);
        RecentKeys recent;
        each_line(shape, partition.begin(part), partition.begin(part + 1), [&](auto pixel, int y, int x, int width) {
            float features[BILATERAL_DIMENSIONS * PANEL] = {};
            Simplices found;
            positions(features, y, x, kernel.sxy);
            const std::uint8_t* colours = image + (std::size_t(y) * shape.width + x) * 3;
            for (int i = 0; i < width; i++) {  // blue first, as the published evaluation has it
                for (int c = 0; c < 3; c++) features[(4 - c) * PANEL + i] = scaled[colours[3 * i + c]];
            }
            loops.simplices(BILATERAL_DIMENSIONS, features, packing, &found);
            // Recent keys first; meanwhile the table's slots of the others are prefetched.
            int missed[AXES * PANEL], misses = 0;
            for (int i = 0; i < width; i++) {
                for (int r = 0; r < AXES; r++) {
                    const std::int64_t key = found.key[r][i], e = (pixel + i) * AXES + r;
                    weight[e] = found.weight[r][i];
                    const RecentKeys::Entry& entry = recent.at(key);
                    vertex[e] = entry.id;
                    if (entry.key != key) {
                        table.prefetch(key);
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
    merged_ids_.resize(partition.parts);
}

// Adds the keys of all parts to the table of the first.
void BilateralLattice::merge_tables() {
    for (std::size_t part = 1; part < merged_ids_.size(); part++) {
        const std::vector<std::int64_t>& keys = tables_[part].keys();
        merged_ids_[part].resize(keys.size());
        for (std::size_t v = 0; v < keys.size(); v++) {
            if (v + ENTRIES_AHEAD < keys.size()) tables_[0].prefetch(keys[v + ENTRIES_AHEAD]);
            merged_ids_[part][v] = tables_[0].insert(keys[v]);
        }
    }
    vertices_ = static_cast<int>(tables_[0].keys().size());
}

// Numbers the vertices by cell of the second sweep, so that vertices near each other in the image have near numbers.
void BilateralLattice::number_vertices(Shape shape, const Packing& packing, Team& team) {
    const std::vector<std::int64_t>& keys = tables_[0].keys();
    team.each(2, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t sweep = from; sweep < to; sweep++) {
            sort_by_cell(keys, packing, sweep == 0 ? 0 : 3, sorted_[sweep], cell_begin_[sweep], cells_[sweep]);
        }
    });
    std::vector<std::int32_t>& number = cells_[0];  // the cells are not needed any more
    for (int i = 0; i < vertices_; i++) number[sorted_[1][i]] = i;
    for (int i = 0; i < vertices_; i++) {
        sorted_[0][i] = number[sorted_[0][i]];
        sorted_[1][i] = i;
    }
    const Partition partition = partition_panels(shape, team);
    team.each(partition.parts, 1, [&](std::int64_t part, std::int64_t) {
        std::int32_t* vertex = vertex_.get();
        const std::int32_t* merged_id = merged_ids_[part].data();
        const std::int64_t pixels = shape.pixels(), column = std::int64_t(shape.height) * PANEL;
        const std::int64_t begin = std::min(pixels, partition.begin(part) * column) * AXES;
        const std::int64_t end = std::min(pixels, partition.begin(part + 1) * column) * AXES;
        for (std::int64_t e = begin; e < end; e++) vertex[e] = number[part > 0 ? merged_id[vertex[e]] : vertex[e]];
    });
}

// Finds each vertex's next neighbour along every axis: a step along axis j adds 1 to all coordinates but the j-th, from
// which it subtracts the number of dimensions.
void BilateralLattice::find_neighbours(const Packing& packing, Team& team) {
    const KeyTable& table = tables_[0];
    const std::size_t count = vertices_;
    const std::int32_t* number = cells_[0].data();  // by id in the table: see number_vertices
    std::int32_t* next = next_.ensure(count * AXES);
    std::uint8_t* has_previous = has_previous_.ensure(count * AXES);
    std::fill(has_previous, has_previous + count * AXES, std::uint8_t(0));
    std::int64_t ones = 0, step[AXES];
    for (int i = 0; i < BILATERAL_DIMENSIONS; i++) ones += std::int64_t(1) << packing.shift[i];
    for (int j = 0; j < AXES; j++) {
        step[j] = j < BILATERAL_DIMENSIONS ? ones - (std::int64_t(AXES) << packing.shift[j]) : ones;
    }
    team.each(count, 4096, [&](std::int64_t from, std::int64_t to) {
        const std::int64_t* keys = table.keys().data();
        for (std::int64_t v = from; v < to; v++) {
            if (v + ENTRIES_AHEAD < to) {
                for (int j = 0; j < AXES; j++) table.prefetch(keys[v + ENTRIES_AHEAD] + step[j]);
            }
            for (int j = 0; j < AXES; j++) {
                const std::int32_t found = table.find(keys[v] + step[j]);
                next[j * count + number[v]] = found < 0 ? -1 : number[found];
                if (found >= 0) has_previous[j * count + number[found]] = 1;
            }
        }
    });
}

// Lists the chains of one sweep, cell by cell and axis by axis.
void BilateralLattice::list_chains(int sweep) {
    const std::vector<std::int32_t>&sorted = sorted_[sweep], &cell_begin = cell_begin_[sweep];
    const int first_axis = sweep == 0 ? 0 : 3;
    const std::size_t count = vertices_;
    Chains& chains = chains_[sweep];
    chains.vertex.clear();
    chains.chain_begin.clear();
    chains.group_begin.assign(1, 0);
    chains.group_size.clear();
    std::int32_t pending = 0;
    for (std::size_t cell = 0; cell + 1 < cell_begin.size(); cell++) {
        for (int axis = first_axis; axis < first_axis + 3; axis++) {
            const std::int32_t* next = next_.get() + axis * count;
            const std::uint8_t* has_previous = has_previous_.get() + axis * count;
            for (std::int32_t i = cell_begin[cell]; i < cell_begin[cell + 1]; i++) {
                std::int32_t v = sorted[i];
                if (has_previous[v] || next[v] < 0) continue;  // inside a chain, or without neighbours
                chains.chain_begin.push_back(static_cast<std::int32_t>(chains.vertex.size()));
                for (; v >= 0; v = next[v]) chains.vertex.push_back(v);
            }
        }
        pending += cell_begin[cell + 1] - cell_begin[cell];
        if (pending >= LEAST_GROUP || cell + 2 == cell_begin.size()) {
            chains.group_begin.push_back(static_cast<std::int32_t>(chains.chain_begin.size()));
            chains.group_size.push_back(pending);
            pending = 0;
        }
    }
    chains.chain_begin.push_back(static_cast<std::int32_t>(chains.vertex.size()));
    chains.vertex.insert(chains.vertex.end(), ENTRIES_AHEAD, 0);
}

void BilateralLattice::filter(const Loops& loops, const Layout& layout, const float* pixel_rows, float* vertex_rows,
                              Team& team) const {
    team.each(vertices_, 2048, [&](std::int64_t from, std::int64_t to) {
        loops.splat(splat(), layout, pixel_rows, vertex_rows, static_cast<int>(from), static_cast<int>(to));
    });
    for (const Chains& chains : chains_) {
        const Sweep sweep{chains.vertex.data(), chains.chain_begin.data(), chains.group_begin.data(),
                          chains.group_size.data()};
        team.each(static_cast<std::int64_t>(chains.group_size.size()), 2, [&](std::int64_t from, std::int64_t to) {
            loops.blur(sweep, layout, vertex_rows, static_cast<int>(from), static_cast<int>(to));
        });
    }
}

std::size_t BilateralLattice::bytes() const {
    std::size_t all = Lattice::bytes() + next_.bytes() + has_previous_.bytes() + vertex_sums_.bytes();
    for (const KeyTable& table : tables_) all += table.bytes();
    for (int i = 0; i < 2; i++) {
        all += (sorted_[i].capacity() + cell_begin_[i].capacity() + cells_[i].capacity()) * sizeof(std::int32_t);
        all += chains_[i].bytes();
    }
    return all;
}

}  // namespace stego
