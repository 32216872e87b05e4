// The simplex of the permutohedral lattice that encloses a point (Adams, Baek and Davis 2010): its vertices and their
// barycentric weights. Written as loops over PANEL points, which compilers turn into vector code.
//
// Compiled without fused multiply-add: where a point lies on the border of two simplices, the last bit of a float
// decides which vertices exist. With another rounding than pydensecrf's, some probabilities differ by 0.01.
#pragma once
#include "vectors.hpp"

namespace stego {
namespace {

template <int D> void find_simplices(const float* features, const Packing& packing, Simplices* out) {
    // scale[i] = (D + 1) sqrt(2 / 3) / sqrt((i + 1) (i + 2)): a unit of the lattice's blur is a unit of deviation.
    static constexpr double ROOT[5] = {0.7071067811865476, 0.4082482904638631, 0.2886751345948129, 0.22360679774997896,
                                       0.18257418583505536};
    constexpr float UNIT = static_cast<float>(0.816496580927726 * (D + 1)), DOWN = 1.0f / (D + 1), MAGIC = 12582912.0f;
    float elevated[D + 1][PANEL], nearest[D + 1][PANEL];
    std::int32_t rank[D + 1][PANEL], total[PANEL];
    float above[PANEL];
    for (int x = 0; x < PANEL; x++) above[x] = 0.0f;
    for (int i = D; i > 0; i--) {
        const auto scale = static_cast<float>(ROOT[i - 1] * UNIT);
        for (int x = 0; x < PANEL; x++) {
            const float step = features[(i - 1) * PANEL + x] * scale;
            elevated[i][x] = above[x] - static_cast<float>(i) * step;
            above[x] += step;
        }
    }
    for (int x = 0; x < PANEL; x++) {
        elevated[0][x] = above[x];
        total[x] = 0;
    }
    for (int i = 0; i <= D; i++) {
        for (int x = 0; x < PANEL; x++) {
            const float whole = (elevated[i][x] * DOWN + MAGIC) - MAGIC;  // to the nearest integer
            nearest[i][x] = whole * (D + 1);
            total[x] += static_cast<std::int32_t>(whole);
            rank[i][x] = 0;
        }
    }
    for (int i = 0; i < D; i++) {
        for (int j = i + 1; j <= D; j++) {
            for (int x = 0; x < PANEL; x++) {
                const std::int32_t less = elevated[i][x] - nearest[i][x] < elevated[j][x] - nearest[j][x];
                rank[i][x] += less;
                rank[j][x] += 1 - less;
            }
        }
    }
    float rest[D + 1][PANEL], ranked[D + 1][PANEL];
    for (int i = 0; i <= D; i++) {
        for (int x = 0; x < PANEL; x++) {  // into the plane where coordinates sum to 0
            const std::int32_t moved = rank[i][x] + total[x];
            const std::int32_t wrap = moved < 0 ? D + 1 : moved > D ? -(D + 1) : 0;
            rank[i][x] = moved + wrap;
            nearest[i][x] += static_cast<float>(wrap);
            rest[i][x] = (elevated[i][x] - nearest[i][x]) * DOWN;
        }
    }
    for (int r = 0; r <= D; r++) {
        for (int x = 0; x < PANEL; x++) {
            float sum = 0.0f;  // one term is not 0
            for (int i = 0; i <= D; i++) sum += rank[i][x] == r ? rest[i][x] : 0.0f;
            ranked[r][x] = sum;
        }
    }
    for (int r = 1; r <= D; r++) {
        for (int x = 0; x < PANEL; x++) out->weight[r][x] = ranked[D - r][x] - ranked[D - r + 1][x];
    }
    for (int x = 0; x < PANEL; x++) out->weight[0][x] = ranked[D][x] + (1.0f - ranked[0][x]);
    std::int64_t ones = 0;
    for (int i = 0; i < D; i++) ones += std::int64_t(1) << packing.shift[i];
    for (int x = 0; x < PANEL; x++) {
        int axis_of_rank[D + 1];
        std::int64_t key = packing.bias;
        for (int i = 0; i <= D; i++) axis_of_rank[rank[i][x]] = i;
        for (int i = 0; i < D; i++) {
            const auto coordinate = static_cast<std::int64_t>(static_cast<std::int32_t>(nearest[i][x]));
            key += coordinate * (std::int64_t(1) << packing.shift[i]);
        }
        for (int r = 0; r <= D; r++) {  // corner r: + r on all axes, - (D + 1) on those of the r highest ranks
            out->key[r][x] = key;
            key += ones;
            if (r < D && axis_of_rank[D - r] < D) key -= std::int64_t(D + 1) << packing.shift[axis_of_rank[D - r]];
        }
    }
}

}  // namespace
}  // namespace stego

#define STEGO_SIMPLICES(NAME)                                                                      \
    namespace stego {                                                                              \
    void NAME(int dimensions, const float* features, const Packing& packing, Simplices* out) {     \
        dimensions == SPATIAL_DIMENSIONS                                                           \
            ? find_simplices<SPATIAL_DIMENSIONS>(features, packing, out)                           \
            : find_simplices<BILATERAL_DIMENSIONS>(features, packing, out);                        \
    }                                                                                              \
    }
