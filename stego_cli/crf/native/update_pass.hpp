// The update of all pixels of a photograph, divided by panels between the threads.
#pragma once
#include <vector>

#include "lattice.hpp"

namespace stego {

class UpdatePass {
  public:
    // The spatial lattices must outlive this.
    UpdatePass(Shape, const std::vector<const SpatialLattice*>&, const Team&);

    // pixel_rows, in place: `output` of unary + what the spatial lattices make of the old rows + the slices.
    void run(const Loops&, const Layout&, const std::vector<Slice>&, const float* unary, float* pixel_rows, Output,
             Team&);

  private:
    // Columns of vertices with pixels of two parts. They are splatted before any part is updated, since one part may
    // overwrite its pixels before the other has read them.
    struct BorderColumns {
        std::vector<std::int32_t> columns;
        std::vector<std::int32_t> sums_row;  // see Wave
        std::size_t rows = 0;
        Buffer<float> sums;
    };

    Shape shape_;
    std::vector<int> bounds_;  // the panel at which each part begins, and the end
    std::vector<Wave> waves_;
    std::vector<BorderColumns> border_columns_;  // by wave
};

}  // namespace stego
