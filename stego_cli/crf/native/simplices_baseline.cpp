#include "simplices.hpp"
STEGO_SIMPLICES(simplices_baseline)
