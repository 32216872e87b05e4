// Where a point lies in the permutohedral lattice (Adams, Baek and Davis 2010): its simplex's vertices and the
// barycentric weights of them. Written as loops over PANEL points that compilers turn into vector code.
//
// Multiplications and additions must not be fused here: where a point lies on the border of two simplices, the last bit
// decides which vertices exist, and with another rounding than the reference's some pixels differ by a percent.
#pragma once
#include "rows.hpp"

namespace stego {
namespace {

template <int D> void find_simplices(const float* features, const Packing& packing, Simplices* out) {
    // scale[i] = (D + 1) sqrt(2 / 3) / sqrt((i + 1) (i + 2)): a unit of the lattice's blur is a unit of deviation.
    static constexpr double ROOT[5] = {0.7071067811865476, 0.4082482904638631, 0.2886751345948129, 0.22360679774997896,
                                       0.18257418583505536};
    constexpr float UNIT = static_cast<float>(0.816496580927726 * (D + 1)), DOWN = 1.0f / (D + 1), MAGIC = 12582912.0f;
    float place[D + 1][PANEL], nearest[D + 1][PANEL];
    std::int32_t rank[D + 1][PANEL], total[PANEL];
    float above[PANEL];
    for (int x = 0; x < PANEL; x++) above[x] = 0.0f;
    for (int i = D; i > 0; i--) {
        const auto scale = static_cast<float>(ROOT[i - 1] * UNIT);
        for (int x = 0; x < PANEL; x++) {
            const float step = features[(i - 1) * PANEL + x] * scale;
            place[i][x] = above[x] - static_cast<float>(i) * step;
            above[x] += step;
        }
    }
    for (int x = 0; x < PANEL; x++) {
        place[0][x] = above[x];
        total[x] = 0;
    }
    for (int i = 0; i <= D; i++) {
        for (int x = 0; x < PANEL; x++) {
            const float whole = (place[i][x] * DOWN + MAGIC) - MAGIC;  // to the nearest integer
            nearest[i][x] = whole * (D + 1);
            total[x] += static_cast<std::int32_t>(whole);
            rank[i][x] = 0;
        }
    }
    for (int i = 0; i < D; i++) {
        for (int j = i + 1; j <= D; j++) {
            for (int x = 0; x < PANEL; x++) {
                const std::int32_t less = place[i][x] - nearest[i][x] < place[j][x] - nearest[j][x];
                rank[i][x] += less;
                rank[j][x] += 1 - less;
            }
        }
    }
    float rest[D + 1][PANEL], ranked[D + 1][PANEL];
    for (int i = 0; i <= D; i++) {
        for (int x = 0; x < PANEL; x++) {  // back into the zero-sum plane
            const std::int32_t moved = rank[i][x] + total[x];
            const std::int32_t wrap = moved < 0 ? D + 1 : moved > D ? -(D + 1) : 0;
            rank[i][x] = moved + wrap;
            nearest[i][x] += static_cast<float>(wrap);
            rest[i][x] = (place[i][x] - nearest[i][x]) * DOWN;
        }
    }
    for (int r = 0; r <= D; r++) {
        for (int x = 0; x < PANEL; x++) {
            float sum = 0.0f;  // of a single one and zeros
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
        int coordinate[D + 1];  // by rank
        std::int64_t key = packing.bias;
        for (int i = 0; i <= D; i++) coordinate[rank[i][x]] = i;
        for (int i = 0; i < D; i++) {
            key += static_cast<std::int64_t>(static_cast<std::int32_t>(nearest[i][x])) * (std::int64_t(1) << packing.shift[i]);
        }
        for (int r = 0; r <= D; r++) {  // corner r: the r highest ranks step back by D + 1, all step on by r
            out->key[r][x] = key;
            key += ones;
            if (r < D && coordinate[D - r] < D) key -= std::int64_t(D + 1) << packing.shift[coordinate[D - r]];
        }
    }
}

}  // namespace
}  // namespace stego

#define STEGO_SIMPLICES(NAME)                                                                                       \
    namespace stego {                                                                                               \
    void NAME(int dimensions, const float* features, const Packing& packing, Simplices* out) {                      \
        dimensions == PLANE ? find_simplices<PLANE>(features, packing, out)                                         \
                            : find_simplices<COLOUR>(features, packing, out);                                       \
    }                                                                                                               \
    }
