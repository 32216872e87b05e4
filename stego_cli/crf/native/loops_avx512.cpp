// Compiled with AVX-512; called only where the processor has it.
#define STEGO_LANES 16
#include "dispatch.hpp"
STEGO_LOOPS(AVX512, "avx512", simplices_avx2)
