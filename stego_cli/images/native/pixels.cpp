#include "pixels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "taps.hpp"

// Compiled for several instruction sets, of which the loader takes the best. No sum may be fused (setup.py sees to it).
#if defined(STEGO_X86) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define STEGO_VARIANTS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define STEGO_VARIANTS
#endif

namespace stego {
namespace {

constexpr int BITS = 22;  // of the fixed-point weights behind the point
constexpr std::size_t BLOCK = 1024;
constexpr bool LOW_FIRST = std::endian::native == std::endian::little;

std::vector<std::int32_t> fixed_point(const Taps& taps) {
    std::vector<std::int32_t> weights(taps.weights.size());
    for (std::size_t i = 0; i < weights.size(); i++) weights[i] = std::int32_t(0.5 + taps.weights[i] * (1 << BITS));
    return weights;
}

// The taps of a row in fixed point, as many for each output pixel: a loop over them then has no branch to guess.
struct FixedAcross {
    int most;
    std::vector<std::int32_t> first, weight;

    FixedAcross(const Taps& taps, int width) : most(taps.most), first(taps.first.size()) {
        const std::vector<std::int32_t> weights = fixed_point(taps);
        weight.assign(weights.size(), 0);
        for (std::size_t x = 0; x < first.size(); x++) {
            first[x] = std::min(taps.first[x], width - most);
            const std::size_t shift = std::size_t(taps.first[x] - first[x]), row = x * std::size_t(most);
            for (std::size_t i = 0; i < std::size_t(taps.count[x]); i++) weight[row + shift + i] = weights[row + i];
        }
    }
};

constexpr int TOGETHER = 4;  // rows that are summed horizontally in one pass

// Sums rows horizontally: from four bytes a pixel to three. May write a byte more than a row has.
STEGO_VARIANTS void rows_across(const std::uint8_t* const* in, const FixedAcross& across, std::uint8_t* const* out) {
    const std::size_t width = across.first.size(), most = std::size_t(across.most);
    const std::int32_t *first = across.first.data(), *weight = across.weight.data();
    constexpr std::int32_t HALF = 1 << (BITS - 1);
    for (std::size_t x = 0; x < width; x++, weight += most) {
        const std::size_t place = 4 * std::size_t(first[x]);
#if defined(__GNUC__)
        typedef std::int32_t Sums __attribute__((vector_size(16 * TOGETHER)));
        typedef std::uint32_t Words __attribute__((vector_size(16 * TOGETHER)));
        typedef std::uint8_t Bytes __attribute__((vector_size(4 * TOGETHER)));
        const Words shifts = LOW_FIRST ? Words{0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24}
                                       : Words{24, 16, 8, 0, 24, 16, 8, 0, 24, 16, 8, 0, 24, 16, 8, 0};
        Sums sums = Sums{} + HALF;
        for (std::size_t i = 0; i < most; i++) {
            std::uint32_t a, b, c, d;  // the pixel of each row
            std::memcpy(&a, in[0] + place + 4 * i, 4);
            std::memcpy(&b, in[1] + place + 4 * i, 4);
            std::memcpy(&c, in[2] + place + 4 * i, 4);
            std::memcpy(&d, in[3] + place + 4 * i, 4);
            sums += Sums(Words{a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d} >> shifts & 255) * weight[i];
        }
        sums >>= BITS;
        sums = sums < 255 ? sums : Sums{} + 255;
        const Bytes bytes = __builtin_convertvector(sums, Bytes);
        for (int row = 0; row < TOGETHER; row++) {
            std::memcpy(out[row] + 3 * x, reinterpret_cast<const std::uint8_t*>(&bytes) + 4 * row, 4);
        }
#else
        for (int row = 0; row < TOGETHER; row++) {
            for (int c = 0; c < 3; c++) {
                std::int32_t sum = HALF;
                for (std::size_t i = 0; i < most; i++) sum += in[row][place + 4 * i + std::size_t(c)] * weight[i];
                out[row][3 * x + std::size_t(c)] = std::uint8_t(std::min(sum >> BITS, 255));
            }
        }
#endif
    }
}

STEGO_VARIANTS void add_row(const std::uint8_t* row, std::int32_t weight, std::size_t length, std::int32_t* sums) {
    for (std::size_t i = 0; i < length; i++) sums[i] += row[i] * weight;
}

STEGO_VARIANTS void round_row(const std::int32_t* sums, std::size_t length, std::uint8_t* out) {
    for (std::size_t i = 0; i < length; i++) out[i] = std::uint8_t(std::min(sums[i] >> BITS, 255));
}

STEGO_VARIANTS void choose_block(const float* planes, int classes, std::size_t pixels, std::size_t length,
                                 std::uint8_t* chosen, std::uint8_t* wins) {
    float best[BLOCK];
    std::int32_t index[BLOCK];
    for (std::size_t i = 0; i < length; i++) best[i] = planes[i], index[i] = 0;
    for (int k = 1; k < classes; k++) {
        const float* plane = planes + std::size_t(k) * pixels;
        for (std::size_t i = 0; i < length; i++) {
            index[i] = plane[i] > best[i] ? k : index[i];
            best[i] = plane[i] > best[i] ? plane[i] : best[i];
        }
    }
    for (std::size_t i = 0; i < length; i++) chosen[i] = std::uint8_t(index[i]);
    for (std::size_t i = 0; i < length; i++) wins[index[i]] = 1;
}

// The taps along a row, by tap and then by output pixel, so that a loop over pixels is a vector loop. A tap beyond a
// pixel's own has weight 0 and stays inside the row.
struct Across {
    int most;
    std::vector<std::int32_t> place;
    std::vector<double> weight;

    Across(const Taps& taps, int width) : most(taps.most) {
        const std::size_t outs = taps.first.size();
        place.resize(outs * std::size_t(most));
        weight.resize(outs * std::size_t(most));
        for (int i = 0; i < most; i++) {
            for (std::size_t x = 0; x < outs; x++) {
                place[std::size_t(i) * outs + x] = std::min(taps.first[x] + i, width - 1);
                weight[std::size_t(i) * outs + x] = taps.of(int(x))[i];
            }
        }
    }
};

STEGO_VARIANTS void plane_row_across(const float* in, const std::int32_t* place, const double* weight, int most,
                                     int width, double* sums, float* out) {
    for (int x = 0; x < width; x++) sums[x] = in[place[x]] * weight[x];
    for (int i = 1; i < most; i++) {
        place += width;
        weight += width;
        for (int x = 0; x < width; x++) sums[x] += in[place[x]] * weight[x];
    }
    for (int x = 0; x < width; x++) out[x] = float(sums[x]);
}

STEGO_VARIANTS void take_larger(const float* const* rows, const double* weight, int count, int width, double* sums,
                                std::int32_t id, float* best, std::int32_t* labels) {
    for (int x = 0; x < width; x++) sums[x] = rows[0][x] * weight[0];
    for (int i = 1; i < count; i++) {
        for (int x = 0; x < width; x++) sums[x] += rows[i][x] * weight[i];
    }
    for (int x = 0; x < width; x++) {
        const float value = float(sums[x]);
        labels[x] = value > best[x] ? id : labels[x];
        best[x] = value > best[x] ? value : best[x];
    }
}

}  // namespace

void resize_rgb(const std::uint8_t* image, Size from, std::uint8_t* out, Size to) {
    const FixedAcross across(triangle_taps(from.width, to.width), from.width);
    const Taps down = triangle_taps(from.height, to.height);
    const std::vector<std::int32_t> vertical = fixed_point(down);
    const std::size_t length = 3 * std::size_t(to.width);
    const int slots = down.most + TOGETHER - 1;
    std::vector<std::uint8_t> ring((length + 1) * std::size_t(slots));  // the rows that an output row is made of, and more
    const auto slot = [&](int row) { return ring.data() + (length + 1) * std::size_t(row % slots); };
    std::vector<std::int32_t> sums(length);
    int made = 0;
    for (int y = 0; y < to.height; y++) {
        const int first = down.first[std::size_t(y)];
        for (made = std::max(made, first); made < down.end(y); made += TOGETHER) {
            const std::uint8_t* in[TOGETHER];
            std::uint8_t* across_out[TOGETHER];
            for (int i = 0; i < TOGETHER; i++) {
                in[i] = image + 4 * std::size_t(std::min(made + i, from.height - 1)) * std::size_t(from.width);
                across_out[i] = slot(made + i);
            }
            rows_across(in, across, across_out);
        }
        std::fill(sums.begin(), sums.end(), 1 << (BITS - 1));
        for (int i = 0; i < down.count[std::size_t(y)]; i++) {
            add_row(slot(first + i),
                    vertical[std::size_t(y) * std::size_t(down.most) + std::size_t(i)], length, sums.data());
        }
        round_row(sums.data(), length, out + length * std::size_t(y));
    }
}

void choose(const float* planes, int classes, std::size_t pixels, std::uint8_t* chosen, std::uint8_t* wins) {
    for (std::size_t start = 0; start < pixels; start += BLOCK) {
        choose_block(planes + start, classes, pixels, std::min(BLOCK, pixels - start), chosen + start, wins);
    }
}

void enlarge(const float* planes, const std::uint8_t* ids, int classes, Size from, Size to, float* best,
             std::uint8_t* labels) {
    const Taps down = triangle_taps(from.height, to.height);
    const Across across(triangle_taps(from.width, to.width), from.width);
    const std::size_t width = std::size_t(to.width), held = width * std::size_t(down.most);
    std::vector<float> rings(held * std::size_t(classes));
    std::vector<double> sums(width);
    std::vector<std::int32_t> wide(width);
    std::vector<const float*> rows(std::size_t(down.most));
    int made = 0;
    for (int y = 0; y < to.height; y++, best += width, labels += width) {
        const int first = down.first[std::size_t(y)], begin = std::max(made, first);
        std::copy(labels, labels + width, wide.begin());
        for (int c = 0; c < classes; c++) {
            float* ring = rings.data() + held * std::size_t(c);
            for (int row = begin; row < down.end(y); row++) {
                const float* in = planes + std::size_t(c) * from.pixels() + std::size_t(row) * std::size_t(from.width);
                plane_row_across(in, across.place.data(), across.weight.data(), across.most, to.width, sums.data(),
                                 ring + width * std::size_t(row % down.most));
            }
            for (int i = 0; i < down.count[std::size_t(y)]; i++) {
                rows[std::size_t(i)] = ring + width * std::size_t((first + i) % down.most);
            }
            take_larger(rows.data(), down.of(y), down.count[std::size_t(y)], to.width, sums.data(), ids[c], best,
                        wide.data());
        }
        made = std::max(begin, down.end(y));
        for (std::size_t x = 0; x < width; x++) labels[x] = std::uint8_t(wide[x]);
    }
}

void count(const std::uint8_t* labels, std::size_t pixels, std::int64_t* counts) {
    std::int64_t parts[4][256];  // neighbours are mostly equal, and adding to one place again waits for the last time
    std::memset(parts, 0, sizeof parts);
    std::size_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
        for (std::size_t part = 0; part < 4; part++) parts[part][labels[i + part]]++;
    }
    for (; i < pixels; i++) parts[0][labels[i]]++;
    for (int value = 0; value < 256; value++) {
        counts[value] += parts[0][value] + parts[1][value] + parts[2][value] + parts[3][value];
    }
}

}  // namespace stego
