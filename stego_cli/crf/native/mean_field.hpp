// Mean-field inference: the iterations over one photograph, and the distribution of photographs over threads.
#pragma once
#include <memory>
#include <vector>

#include "lattice.hpp"

namespace stego {

// One photograph to refine.
struct Request {
    Shape shape;
    int classes, iterations;
    const std::uint8_t* image;  // (height, width, 3), RGB
    const float* log_probs;     // (classes, height, width)
    float* out;                 // (classes, height, width)
    std::vector<Kernel> kernels;
};

// The memory for one photograph at a time, reused for the next.
class Workspace {
  public:
    // Throws std::bad_alloc, and std::range_error where a kernel is too narrow.
    void refine(const Loops&, const Request&, Team&);
    std::size_t bytes() const;

  private:
    Buffer<float> unary_, pixel_rows_;
    std::vector<std::unique_ptr<Buffer<float>>> vertex_rows_;       // by bilateral kernel
    std::vector<std::unique_ptr<BilateralLattice>> bilateral_;  // by bilateral kernel
};

// Refines all photographs on `threads` threads. Where there are as many photographs as threads or more, each thread
// works on one of its own and never waits for another; all threads share what is left over, one after the other.
void refine_all(const Loops&, const std::vector<Request>&, int threads);

}  // namespace stego
