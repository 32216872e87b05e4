// Mean-field inference for one photograph.
#pragma once
#include <memory>
#include <vector>

#include "lattice.hpp"

namespace stego {

struct Request {
    Shape shape;
    int classes, iterations;
    const std::uint8_t* image;  // (height, width, 3), RGB
    const float* log_probs;     // (classes, height, width)
    float* out;                 // the same
    std::vector<Kernel> kernels;
};

// What refining needs beside its arguments, kept from photograph to photograph.
class Workspace {
  public:
    // Throws std::bad_alloc, and std::range_error for kernels that are too fine.
    void refine(const Kernels&, const Request&, Team&);
    std::size_t bytes() const;

  private:
    Buffer<float> unary_, pixels_;
    std::vector<std::unique_ptr<Buffer<float>>> values_;
    std::vector<std::unique_ptr<BilateralLattice>> bilateral_;
};

// Refines photographs[0..count) on `threads` threads: several photographs at once where there are enough, since they
// then need not wait for each other, else all threads on one.
void refine_all(const Kernels&, const std::vector<Request>& photographs, int threads);

}  // namespace stego
