// The permutohedral lattice of one kernel: its vertices, and the lists by which the inner loops visit them.
#pragma once
#include <vector>

#include "buffer.hpp"
#include "key_table.hpp"
#include "team.hpp"
#include "types.hpp"

namespace stego {

// What both kinds of lattice have. All weights include the symmetric normalisation, those of slicing the compatibility.
class Lattice {
  public:
    int vertices() const { return vertices_; }
    Slice slice(const float* vertex_rows) const { return {vertex_.get(), slice_weights_.get(), vertex_rows, corners_}; }
    std::size_t bytes() const;

  protected:
    explicit Lattice(int corners) : corners_(corners) {}
    Splat splat() const { return {first_entry_.get(), pixel_.get(), splat_weights_.get()}; }
    // Allocates each pixel's lists of vertices and of slice weights; returns the former.
    std::int32_t* allocate_lists(std::int64_t pixels);
    // Makes each vertex's list of pixels from the lists of vertices.
    void invert_lists(std::int64_t pixels, Team&);
    // A one for each pixel.
    float* ones(std::int64_t pixels);
    // Given G(1), the filter's result for ones, multiplies the weights by n = 1 / sqrt(G(1)), and those of slicing by
    // the compatibility and the lattice's scale. Overwrites G(1) with n.
    void normalise(float* filtered_ones, std::int64_t pixels, float compat, Team&);
    // Gives back what only building needs.
    void release_scratch();

    int corners_, vertices_ = 0;
    Buffer<std::int32_t> vertex_, first_entry_, pixel_;  // see Slice and Splat
    Buffer<float> slice_weights_, splat_weights_;

  private:
    Buffer<float> ones_;
    std::vector<std::int32_t> counts_;
};

// The lattice of a spatial kernel: the same for all photographs of one size.
class SpatialLattice : public Lattice {
  public:
    SpatialLattice(const Loops&, Shape, const Kernel&, Team&);
    Wave wave() const { return {columns_, splat(), slice(nullptr), nullptr, nullptr}; }
    std::size_t bytes() const;

  private:
    void number_vertices(std::vector<std::int32_t>& column);
    void place_in_ring(Shape, const std::vector<std::int32_t>& column);

    std::vector<std::int32_t> start_, low_, first_column_, last_column_;
    VertexColumns columns_{};
};

// Work that does not depend on the lattice. Idle threads do it while one thread merges the tables of all parts.
struct IndependentWork {
    std::int64_t count;
    Team::Work work;
};

// The lattice of a bilateral kernel. It is built for each photograph, in the memory of the one before.
class BilateralLattice : public Lattice {
  public:
    BilateralLattice() : Lattice(BILATERAL_DIMENSIONS + 1) {}
    // image: (height, width, 3), RGB. Throws std::range_error where the kernel is too narrow for 64-bit keys.
    void build(const Loops&, Shape, const std::uint8_t* image, const Kernel&, const IndependentWork&, Team&);
    // Splat and blur: rows of pixels to rows of vertices.
    void filter(const Loops&, const Layout&, const float* pixel_rows, float* vertex_rows, Team&) const;
    std::size_t bytes() const;

  private:
    struct Chains {  // see Sweep
        std::vector<std::int32_t> vertex, chain_begin, group_begin, group_size;

        std::size_t bytes() const {
            return (vertex.capacity() + chain_begin.capacity() + group_begin.capacity() + group_size.capacity()) *
                   sizeof(std::int32_t);
        }
    };

    void find_vertices(const Loops&, Shape, const std::uint8_t* image, const Kernel&, const Packing&, Team&);
    void merge_tables();
    void number_vertices(Shape, const Packing&, Team&);
    void find_neighbours(const Packing&, Team&);
    void list_chains(int sweep);
    void release_scratch();

    std::vector<KeyTable> tables_;                         // by part of the image; the first becomes that of all parts
    std::vector<std::vector<std::int32_t>> merged_ids_;    // by part: its ids to those of the first table
    std::vector<std::int32_t> sorted_[2], cell_begin_[2];  // by sweep: vertices by cell, and where each cell begins
    std::vector<std::int32_t> cells_[2];                   // by sweep: each vertex's cell
    Buffer<std::int32_t> next_;                            // by axis and vertex: the next vertex, or -1
    Buffer<std::uint8_t> has_previous_;                    // by axis and vertex
    Buffer<float> vertex_sums_;                            // for the normalisation
    Chains chains_[2];                                     // by sweep
};

}  // namespace stego
