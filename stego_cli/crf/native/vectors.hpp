// Rows in vector registers. This header and those of the loops are compiled once for each instruction set. All they
// define is in an unnamed namespace, and of the standard library they call memcpy, memset and logf only: an inline
// function that was compiled for one instruction set could be linked into the code for another.
#pragma once
#include <cstring>

#include "types.hpp"

#if defined(__GNUC__) || defined(__clang__)
#define STEGO_INLINE inline __attribute__((always_inline))
#define STEGO_PREFETCH(address) __builtin_prefetch(address)
#else
#define STEGO_INLINE inline
#define STEGO_PREFETCH(address)
#endif

namespace stego {
namespace {

#if defined(__GNUC__) || defined(__clang__)
template <int LANES> struct Vector {
    typedef float type __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
    typedef std::int32_t whole __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
};
template <class V> STEGO_INLINE V larger(V a, V b) { return a > b ? a : b; }
#else
template <int LANES> struct Lanes {  // for compilers without vector types
    float lane[LANES];
    float& operator[](int i) { return lane[i]; }
    float operator[](int i) const { return lane[i]; }
};
template <int L> Lanes<L> operator+(Lanes<L> a, const Lanes<L>& b) {
    for (int i = 0; i < L; i++) a[i] += b[i];
    return a;
}
template <int L> Lanes<L> operator-(Lanes<L> a, float b) {
    for (int i = 0; i < L; i++) a[i] -= b;
    return a;
}
template <int L> Lanes<L> operator*(float b, Lanes<L> a) {
    for (int i = 0; i < L; i++) a[i] *= b;
    return a;
}
template <int L> Lanes<L>& operator+=(Lanes<L>& a, const Lanes<L>& b) { return a = a + b; }
template <int L> Lanes<L> larger(Lanes<L> a, const Lanes<L>& b) {
    for (int i = 0; i < L; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
template <int LANES> struct Vector { typedef Lanes<LANES> type; };
#endif

// The sum or the largest of all lanes. Combines the upper with the lower half until four are left.
template <int LANES> STEGO_INLINE float joined(typename Vector<LANES>::type all, bool sum) {
    if constexpr (LANES == 4) {
        if (sum) return (all[0] + all[2]) + (all[1] + all[3]);
        const float even = all[0] > all[2] ? all[0] : all[2], odd = all[1] > all[3] ? all[1] : all[3];
        return even > odd ? even : odd;
    } else {
        typename Vector<LANES / 2>::type half[2];
        std::memcpy(half, &all, sizeof half);
        return joined<LANES / 2>(sum ? half[0] + half[1] : larger(half[0], half[1]), sum);
    }
}

// exp(x) for x <= 0 with a relative error of 2e-7: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; 0 below -87.
template <int LANES> STEGO_INLINE typename Vector<LANES>::type exponential(typename Vector<LANES>::type x) {
    constexpr float LEAST = -87.0f, ROUND = 12582912.0f;  // adding ROUND rounds to an integer
#if defined(__GNUC__) || defined(__clang__)
    typedef typename Vector<LANES>::type V;
    const V kept = larger(x, V{} + LEAST), n = (kept * 1.44269504f + ROUND) - ROUND;
    const V rest = (kept - n * 0.693359375f) + n * 2.12194440e-4f;
    V y = rest * (1.0f / 720.0f) + (1.0f / 120.0f);
#else
    typename Vector<LANES>::type out;
    for (int i = 0; i < LANES; i++) {
    const float kept = x[i] > LEAST ? x[i] : LEAST, n = (kept * 1.44269504f + ROUND) - ROUND;
    const float rest = (kept - n * 0.693359375f) + n * 2.12194440e-4f;
    float y = rest * (1.0f / 720.0f) + (1.0f / 120.0f);
#endif
    y = y * rest + (1.0f / 24.0f);
    y = y * rest + (1.0f / 6.0f);
    y = y * rest + 0.5f;
    y = y * rest + 1.0f;
    y = y * rest + 1.0f;
#if defined(__GNUC__) || defined(__clang__)
    const auto bits = (__builtin_convertvector(n, typename Vector<LANES>::whole) + 127) << 23;
    V power;
    std::memcpy(&power, &bits, sizeof power);
    return x < LEAST ? V{} : y * power;
#else
    const std::int32_t bits = (static_cast<std::int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    out[i] = x[i] < LEAST ? 0.0f : y * power;
    }
    return out;
#endif
}

// One block of a row: VECTORS vectors of LANES classes.
template <int LANES, int VECTORS> struct RowBlock {
    typedef typename Vector<LANES>::type V;
    static constexpr int width = LANES * VECTORS;
    V vector[VECTORS];

    // Vector by vector: compilers copy the whole array through memory.
    STEGO_INLINE void clear() {
        for (int k = 0; k < VECTORS; k++) vector[k] = V{};
    }
    STEGO_INLINE void load(const float* from) {
        for (int k = 0; k < VECTORS; k++) vector[k] = reinterpret_cast<const V*>(from)[k];
    }
    STEGO_INLINE void store(float* to) const {
        for (int k = 0; k < VECTORS; k++) reinterpret_cast<V*>(to)[k] = vector[k];
    }
    STEGO_INLINE void add(float weight, const float* row) {
        const V* other = reinterpret_cast<const V*>(row);
        for (int k = 0; k < VECTORS; k++) vector[k] += weight * other[k];
    }
    STEGO_INLINE void add(float weight, const RowBlock& left, const RowBlock& right) {
        for (int k = 0; k < VECTORS; k++) vector[k] += weight * (left.vector[k] + right.vector[k]);
    }
};

// A row of one value, for the normalisation.
struct Scalar {
    static constexpr int width = 1;
    float value;
    void clear() { value = 0; }
    void load(const float* from) { value = *from; }
    void store(float* to) const { *to = value; }
    void add(float weight, const float* row) { value += weight * *row; }
    void add(float weight, const Scalar& left, const Scalar& right) { value += weight * (left.value + right.value); }
};

// Prefetches a row: two cache lines, after which the processor continues by itself.
template <class R> STEGO_INLINE void prefetch(const float* row) {
    STEGO_PREFETCH(row);
    if (R::width > 16) STEGO_PREFETCH(row + 16);
}

// The value of one vertex: the weighted sum of its pixels.
template <class R>
STEGO_INLINE void gather(R& sum, const Splat& splat, int vertex, const float* pixel_rows, int stride) {
    sum.clear();
    for (int e = splat.first_entry[vertex]; e < splat.first_entry[vertex + 1]; e++) {
        prefetch<R>(pixel_rows + std::size_t(splat.pixel[e + ENTRIES_AHEAD]) * stride);
        sum.add(splat.weight[e], pixel_rows + std::size_t(splat.pixel[e]) * stride);
    }
}

}  // namespace
}  // namespace stego
