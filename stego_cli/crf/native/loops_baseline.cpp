// For any machine of the architecture the package was built for: SSE2 on x86-64, NEON on ARM.
#define STEGO_LANES 4
#include "dispatch.hpp"
STEGO_LOOPS(BASELINE, "baseline", simplices_baseline)
