// An update of all pixels, shared out by panels.
#pragma once
#include <vector>

#include "lattice.hpp"

namespace stego {

class Pass {
  public:
    // What the lattices of positions are to give the pixels, which must outlive this.
    Pass(Shape, const std::vector<const SpatialLattice*>&, const Team&);

    // pixels: rows; unary + what the lattices and the slices of others give, put into them.
    void run(const Kernels&, const Layout&, const std::vector<Slice>&, const float* unary, float* pixels, Into, Team&);

  private:
    // Columns of vertices that gather pixels of two parts: one may have updated its own before the other is there.
    struct Shared {
        std::vector<std::int32_t> columns;
        std::vector<std::int32_t> ready;  // see Wave
        std::size_t rows = 0;
        Buffer<float> sums;
    };

    Shape shape_;
    std::vector<int> bounds_;  // panels at which parts begin, and the end
    std::vector<Wave> waves_;
    std::vector<Shared> shared_;
};

}  // namespace stego
