// The data that the lattices hand to the inner loops: plain arrays and numbers, without any code that the linker could
// share between objects compiled for different instruction sets.
//
// Order of pixels: panel by panel (16 columns of the image each), within a panel line by line. Neighbours in both
// directions are then close in memory, and neighbouring pixels share lattice vertices.
// Row: the values of all classes of one pixel or one vertex, padded to whole vectors.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stego {

constexpr int PANEL = 16;                // columns of pixels in a panel
constexpr int BILATERAL_DIMENSIONS = 5;  // of the features: x, y, blue, green, red
constexpr int SPATIAL_DIMENSIONS = 2;    // of the features: x, y
constexpr int ENTRIES_AHEAD = 8;         // list entries whose rows or slots are prefetched
constexpr int PIXELS_AHEAD = 4;          // pixels whose vertices are prefetched; lists are padded for both
constexpr int MOST_CLASSES = 256;
constexpr int MOST_KERNELS = 16;
constexpr int LARGE_PHOTOGRAPH = 100000;  // pixels; beyond this, memory is given back although fresh pages cost time

struct Shape {
    int height, width;
    std::int64_t pixels() const { return std::int64_t(height) * width; }
};

// One Gaussian kernel of the field. Names and units as in CrfSettings.
struct Kernel {
    float sxy;     // deviation in pixels
    float srgb;    // deviation in 8-bit steps; 0: a spatial kernel
    float compat;  // weight
};

// How a row is divided: `blocks` blocks of `vectors` vectors of `lanes` floats.
struct Layout {
    int classes, lanes, vectors, blocks;
    int stride() const { return lanes * vectors * blocks; }
};

constexpr Layout SCALAR_LAYOUT{1, 1, 1, 1};  // rows of one value, for the normalisation

// Values of vertices as sums over pixels: vertex v has the entries first_entry[v] to first_entry[v + 1] - 1.
struct Splat {
    const std::int32_t* first_entry;
    const std::int32_t* pixel;  // by entry
    const float* weight;        // by entry
    // The same lists, beginning with a later vertex.
    Splat from(int vertex) const { return {first_entry + vertex, pixel, weight}; }
};

// Values of pixels as sums over the `corners` vertices of their simplices.
struct Slice {
    const std::int32_t* vertex;  // by pixel and corner
    const float* weight;         // by pixel and corner
    const float* vertex_rows;
    int corners;
};

// Chains of vertices along lattice axes, in the order in which they must be blurred. Chains of different groups have no
// vertex in common, so groups can be blurred in parallel, and the vertices of a group stay in cache for all its axes.
struct Sweep {
    const std::int32_t* vertex;       // all chains, one after the other
    const std::int32_t* chain_begin;  // by chain, in `vertex`; and the end
    const std::int32_t* group_begin;  // by group, its first chain; and the end
    const std::int32_t* group_size;   // by group, its vertices
};

// The dense two-dimensional lattice as columns of vertices; within a column the second coordinate grows by steps of 1.
struct VertexColumns {
    int count;
    const std::int32_t* start;  // by column, its first vertex; and the end
    const std::int32_t* low;    // by column, the second coordinate of its first vertex
    int tallest;                // vertices of the tallest column
    const std::int32_t* first;  // by panel, the first column with a vertex of its pixels
    const std::int32_t* last;   // by panel, the last such column
    int span;                   // the most columns that one panel has
};

// The dense lattice, filtered in a wave over the image: only the columns that a panel needs exist at a time.
struct Wave {
    VertexColumns columns;
    Splat splat;
    Slice slice;                   // vertices are places in the ring of the `span` columns blurred last; no rows
    const std::int32_t* sums_row;  // by column, its first row in `sums`; -1: it has not been splatted yet
    const float* sums;
};

// The enclosing simplices of PANEL points: by corner and point, the key and the barycentric weight of a vertex.
struct Simplices {
    std::int64_t key[BILATERAL_DIMENSIONS + 1][PANEL];
    float weight[BILATERAL_DIMENSIONS + 1][PANEL];
};

// A vertex's key holds its first d coordinates: coordinate i in bits shift[i] to shift[i + 1] - 1, with the bias added.
struct Packing {
    int shift[BILATERAL_DIMENSIONS + 1];
    std::int64_t bias;
};

// Finds the simplices of PANEL points. features[i * PANEL + x] are in units of the kernel's deviations.
typedef void FindSimplices(int dimensions, const float* features, const Packing&, Simplices*);
FindSimplices simplices_baseline, simplices_avx2;

enum class Output { SUM, PROBABILITIES, LOG_PROBABILITIES };

// The update of the pixels of some panels, in place: unary + all slices, or the softmax of that. The waves splat the
// old values of the same pixels. Where several updates run in parallel, the columns at their borders must be in `sums`.
struct PixelUpdate {
    const Wave* waves;
    int wave_count;
    const Slice* slices;  // of the bilateral lattices
    int slice_count;
    const float* unary;
    float* pixel_rows;
    float* scratch;  // wave_scratch() floats for each wave
    Shape shape;
    int from, to;  // panels
    Output output;
};

// The inner loops, compiled for one instruction set. Ranges are half open.
struct Loops {
    const char* name;
    int lanes;  // floats of the widest vector
    FindSimplices* simplices;
    void (*splat)(const Splat&, const Layout&, const float* pixel_rows, float* vertex_rows, int from, int to);
    void (*blur)(const Sweep&, const Layout&, float* vertex_rows, int from_group, int to_group);
    void (*update_pixels)(const PixelUpdate&, const Layout&);
    // One panel of planes (classes, height, width) of log-probabilities to rows: the unary term, and its softmax.
    void (*load_panel)(const Layout&, const float* planes, float* unary, float* pixel_rows, const Shape&, int panel);
    // One panel of rows to planes.
    void (*store_panel)(const Layout&, const float* pixel_rows, float* planes, const Shape&, int panel);
};

// Floats that a wave needs: three columns before blurring, three after the first axis, and the ring of blurred columns.
inline std::size_t wave_scratch(const VertexColumns& columns, const Layout& layout) {
    return std::size_t(6 + columns.span) * columns.tallest * layout.stride();
}

extern const Loops BASELINE;
#ifdef STEGO_X86
extern const Loops AVX2, AVX512;
#endif

}  // namespace stego
