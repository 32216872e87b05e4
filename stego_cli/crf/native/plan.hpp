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
constexpr int LOOK_AHEAD = 8;  // entries of a list, whose rows are fetched before their turn; lists are padded for it
constexpr int SOON = 4;        // pixels, likewise
constexpr int MOST_CLASSES = 256;
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

// Values of vertices as sums over pixels: vertex v gathers entries first[v] to first[v + 1].
struct Splat {
    const std::int32_t* first;
    const std::int32_t* pixel;
    const float* weight;
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

// The inner loops for one instruction set. Ranges are half open; pixels and vertices are rows of the layout.
struct Kernels {
    const char* name;
    int lanes;  // floats of the widest vector
    FindSimplices* simplices;
    void (*splat)(const Splat&, const Layout&, const float* pixels, float* vertices, int from, int to);
    void (*blur)(const Sweep&, const Layout&, float* vertices, int from_block, int to_block);
    // Splat and all blurs of the dense lattice's columns; scratch: wave_scratch() floats.
    void (*wave)(const Splat&, const Columns&, const Layout&, const float* pixels, float* vertices, float* scratch,
                 int from_column, int to_column);
    // What one kernel gives each pixel, for rows of a single class.
    void (*slice)(const Slice&, float* pixels, std::int64_t from, std::int64_t to);
    // The mean-field update: pixels = softmax(unary + all slices).
    void (*update)(const Slice*, int slices, const Layout&, const float* unary, float* pixels, std::int64_t from,
                   std::int64_t to);
    // One panel of log-probability planes (classes, height, width) to rows: unary as it is, and its softmax.
    void (*begin)(const Layout&, const float* planes, float* unary, float* pixels, const Shape&, int panel);
    // The last update, as log-probability planes; one panel.
    void (*finish)(const Slice*, int slices, const Layout&, const float* unary, float* planes, const Shape&, int panel);
};

// Floats that a wave needs: seven columns of one block of classes.
inline std::size_t wave_scratch(const Columns& columns, const Layout& layout) {
    return std::size_t(7) * columns.tallest * layout.lanes * layout.vectors;
}

extern const Kernels BASELINE;
#ifdef STEGO_X86
extern const Kernels AVX2, AVX512;
#endif

}  // namespace stego
