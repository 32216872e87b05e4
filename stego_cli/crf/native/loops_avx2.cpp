// Compiled with AVX2 and FMA; called only where the processor has them.
#define STEGO_LANES 8
#include "dispatch.hpp"
STEGO_LOOPS(AVX2, "avx2", simplices_avx2)
