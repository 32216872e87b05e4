// Compiled with AVX2 but without fused multiply-add: see simplices.hpp.
#include "simplices.hpp"
STEGO_SIMPLICES(simplices_avx2)
