// What the lattice builder hands to the kernels: plain arrays, so that no code compiled for one instruction set can be
// shared by the linker with another.
//
// Pixels are numbered panel by panel (16 columns each), within a panel row by row: neighbours in both directions stay
// close in memory, which is where a photograph's pixels share lattice vertices. A "row" below is one pixel's or one
// vertex's values of all classes, padded to whole vectors.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stego {

constexpr int PANEL = 16;   // columns of pixels in a panel
constexpr int COLOUR = 5;   // dimensions of the bilateral kernel: x, y, blue, green, red
constexpr int PLANE = 2;    // dimensions of the spatial kernel: x, y
constexpr int LOOK_AHEAD = 8;  // entries of a list, whose rows or slots are fetched before their turn
constexpr int SOON = 4;        // pixels, likewise; lists that rows are read by are padded for both
constexpr int MOST_CLASSES = 256;
constexpr int MOST_KERNELS = 16;
constexpr int LARGE_PHOTOGRAPH = 100000;  // pixels, beyond which memory counts for more than the time of fresh pages

struct Shape {
    int height, width;
    std::int64_t pixels() const { return std::int64_t(height) * width; }
};

// How a row of classes lies in vectors: `blocks` times `vectors` vectors of `lanes` floats.
struct Layout {
    int classes, lanes, vectors, blocks;
    int stride() const { return lanes * vectors * blocks; }
};

constexpr Layout SINGLE{1, 1, 1, 1};  // a row of one value, to find the normalisation with

// Values of vertices as sums over pixels: vertex v gathers entries first[v] to first[v + 1].
struct Splat {
    const std::int32_t* first;
    const std::int32_t* pixel;
    const float* weight;
    // The same without the vertices before one.
    Splat from(int vertex) const { return {first + vertex, pixel, weight}; }
};

// Values of pixels as sums over the `corners` vertices of their simplices.
struct Slice {
    const std::int32_t* vertex;
    const float* weight;
    const float* values;  // rows of vertices
    int corners;
};

// Chains of vertices along lattice axes, in the order in which they must be blurred. The chains of one block touch no
// vertex of another, so blocks can run at once, and a block's vertices stay in cache for all its axes.
struct Sweep {
    const std::int32_t* vertex;  // all chains end to end
    const std::int32_t* chain;   // first place of each chain in `vertex`, and the end
    const std::int32_t* block;   // first chain of each block, and the end
    const std::int32_t* size;    // vertices of each block
};

// The two-dimensional lattice, dense: columns of vertices, rows from `low[column]` on.
struct Columns {
    int count;
    const std::int32_t* start;  // id of each column's first vertex, and the end
    const std::int32_t* low;    // second coordinate of each column's first vertex
    int tallest;                // vertices of the tallest column
    const std::int32_t* first;  // by panel: the first column with a vertex of its pixels
    const std::int32_t* last;   // and the last
    int span;                   // columns from one to the other, at most
};

// A dense lattice on its way over the image: columns are splatted, blurred, sliced and forgotten.
struct Wave {
    Columns columns;
    Splat splat;
    Slice slice;                // vertices are places in the ring of the `span` columns blurred last; no values
    const std::int32_t* ready;  // by column: the first row in `sums` if it is splatted already, or -1
    const float* sums;
};

// The enclosing simplices of PANEL points: by corner r, the vertex's key and barycentric weight.
struct Simplices {
    std::int64_t key[COLOUR + 1][PANEL];
    float weight[COLOUR + 1][PANEL];
};

// Keys of vertices pack their first d coordinates: coordinate i at bits shift[i] to shift[i + 1] - 1, the bias added.
struct Packing {
    int shift[COLOUR + 1];
    std::int64_t bias;
};

// Simplices of PANEL points; features[i * PANEL + x] are already divided by the kernel's deviations.
typedef void FindSimplices(int dimensions, const float* features, const Packing&, Simplices*);
FindSimplices simplices_baseline, simplices_avx2;

enum class Into { SUM, PROBABILITIES, LOG_PROBABILITIES };

// pixels = unary + all slices, or the softmax of that; in place. What the waves gather has to be there still: of other
// updates under way at once they may need only what is `ready`.
struct Update {
    const Wave* waves;
    int wave_count;
    const Slice* slices;  // of other lattices
    int slice_count;
    const float* unary;
    float* pixels;
    float* scratch;  // wave_scratch() floats for each wave
    Shape shape;
    int from, to;  // panels
    Into into;
};

// The inner loops for one instruction set. Ranges are half open; pixels and vertices are rows of the layout.
struct Kernels {
    const char* name;
    int lanes;  // floats of the widest vector
    FindSimplices* simplices;
    void (*splat)(const Splat&, const Layout&, const float* pixels, float* vertices, int from, int to);
    void (*blur)(const Sweep&, const Layout&, float* vertices, int from_block, int to_block);
    // What the pixels of some panels hear, and what becomes of it.
    void (*update)(const Update&, const Layout&);
    // One panel of log-probability planes (classes, height, width) to rows: unary as it is, and its softmax.
    void (*begin)(const Layout&, const float* planes, float* unary, float* pixels, const Shape&, int panel);
    // Rows of pixels to planes; one panel.
    void (*finish)(const Layout&, const float* pixels, float* planes, const Shape&, int panel);
};

// Floats that a wave needs: three columns before blurring, three after the first axis, and the ring of blurred ones.
inline std::size_t wave_scratch(const Columns& columns, const Layout& layout) {
    return std::size_t(6 + columns.span) * columns.tallest * layout.stride();
}

extern const Kernels BASELINE;
#ifdef STEGO_X86
extern const Kernels AVX2, AVX512;
#endif

}  // namespace stego
