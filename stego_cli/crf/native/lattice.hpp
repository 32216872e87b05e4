// The permutohedral lattice of one kernel: which vertices there are, and all orders in which the kernels visit them.
#pragma once
#include <vector>

#include "memory.hpp"
#include "plan.hpp"
#include "table.hpp"
#include "team.hpp"

namespace stego {

// One kernel of the field: deviations in pixels and 8-bit steps (colour 0: none, a spatial kernel), and its weight.
struct Kernel {
    float space, colour, compatibility;
};

// What both kinds of lattice share. Weights carry the symmetric normalisation, slice weights the compatibility too.
class Lattice {
  public:
    int vertices() const { return vertices_; }
    Slice slice(const float* values) const { return {vertex_.get(), slice_.get(), values, corners_}; }
    std::size_t bytes() const;

  protected:
    explicit Lattice(int corners) : corners_(corners) {}
    Splat splat() const { return {first_.get(), pixel_.get(), splat_.get()}; }
    // Makes room for each pixel's vertices and weights; returns the former.
    std::int32_t* lists(std::int64_t pixels);
    // Lists each vertex's pixels, from the lists of each pixel's vertices.
    void turn(std::int64_t pixels, Team&);
    // Memory for a one for each pixel.
    float* ones(std::int64_t pixels);
    // Folds the compatibility into the weights and, on both sides, 1 / sqrt of what each pixel hears when all say one.
    void normalise(float* heard, std::int64_t pixels, float compatibility, Team&);
    // Gives back what only building needed.
    void drop_scratch();

    int corners_, vertices_ = 0;
    Buffer<std::int32_t> vertex_, first_, pixel_;
    Buffer<float> slice_, splat_;

  private:
    Buffer<float> ones_;
    std::vector<std::int32_t> counts_;
};

// The kernel over positions alone: the same for all photographs of a size.
class SpatialLattice : public Lattice {
  public:
    SpatialLattice(const Kernels&, Shape, const Kernel&, Team&);
    Wave wave() const { return {columns_, splat(), slice(nullptr), nullptr, nullptr}; }
    std::size_t bytes() const;

  private:
    void lay_columns(std::vector<std::int32_t>& column);
    void lay_ring(Shape, const std::vector<std::int32_t>& column);

    std::vector<std::int32_t> start_, low_, first_column_, last_column_;
    Columns columns_{};
};

// Work that no lattice is needed for: the other threads do it while one does what cannot be shared.
struct Meanwhile {
    std::int64_t count;
    Team::Work work;
};

// The kernel over positions and colours. Built again for each photograph, in the memory of the one before.
class BilateralLattice : public Lattice {
  public:
    BilateralLattice() : Lattice(COLOUR + 1) {}
    // image: (height, width, 3), RGB. Throws std::range_error where the kernel is too fine for 64-bit keys.
    void build(const Kernels&, Shape, const std::uint8_t* image, const Kernel&, const Meanwhile&, Team&);
    // Splat and blur: rows of pixels to rows of vertices.
    void filter(const Kernels&, const Layout&, const float* pixels, float* values, Team&) const;
    std::size_t bytes() const;

  private:
    struct Chains {  // see Sweep
        std::vector<std::int32_t> vertex, chain, block, size;
    };

    void insert(const Kernels&, Shape, const std::uint8_t* image, const Kernel&, const Packing&, Team&);
    void join();
    void order(Shape, const Packing&, Team&);
    void link(const Packing&, Team&);
    void flatten(int sweep);
    void drop_scratch();

    std::vector<Table> tables_;                      // one for each part of the image; the first becomes that of all
    std::vector<std::vector<std::int32_t>> leads_;   // by part: the first table's id of each of its ids
    std::vector<std::int32_t> sorted_[2], begin_[2];  // by sweep: vertices by cell, and where cells begin
    std::vector<std::int32_t> cells_[2];             // by sweep: cells; the first then holds vertices' final numbers
    Buffer<std::int32_t> next_;                      // by axis and vertex: the neighbour ahead, or -1
    Buffer<std::uint8_t> behind_;                    // by axis and vertex: whether there is one behind
    Buffer<float> values_;                           // by vertex: what it hears when all pixels say one
    Chains chains_[2];
};

}  // namespace stego
