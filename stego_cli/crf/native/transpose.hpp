// Transposition, from planes to rows.
#pragma once
#include "vectors.hpp"

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define STEGO_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#endif
#endif

namespace stego {
namespace {

// A block of 4 x 4. Compilers turn the plain loop into scattered stores, which take several times as long.
STEGO_INLINE void transpose_four(const float* from, std::size_t from_stride, float* to, std::size_t to_stride) {
#if defined(STEGO_SHUFFLE)
    typedef Vector<4>::type V;
    V row[4];
    for (int i = 0; i < 4; i++) row[i] = *reinterpret_cast<const V*>(from + i * from_stride);
    const V a = STEGO_SHUFFLE(row[0], row[1], 0, 4, 1, 5), b = STEGO_SHUFFLE(row[2], row[3], 0, 4, 1, 5);
    const V c = STEGO_SHUFFLE(row[0], row[1], 2, 6, 3, 7), d = STEGO_SHUFFLE(row[2], row[3], 2, 6, 3, 7);
    *reinterpret_cast<V*>(to) = STEGO_SHUFFLE(a, b, 0, 1, 4, 5);
    *reinterpret_cast<V*>(to + to_stride) = STEGO_SHUFFLE(a, b, 2, 3, 6, 7);
    *reinterpret_cast<V*>(to + 2 * to_stride) = STEGO_SHUFFLE(c, d, 0, 1, 4, 5);
    *reinterpret_cast<V*>(to + 3 * to_stride) = STEGO_SHUFFLE(c, d, 2, 3, 6, 7);
#else
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) to[j * to_stride + i] = from[i * from_stride + j];
    }
#endif
}

// A matrix of `count` x `length` to one of `length` x `count`.
STEGO_INLINE void transpose(const float* from, std::size_t from_stride, int count, int length, float* to,
                            std::size_t to_stride) {
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        int j = 0;
        for (; j + 4 <= length; j += 4) {
            transpose_four(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
        }
        for (; j < length; j++) {
            for (int k = i; k < i + 4; k++) to[j * to_stride + k] = from[k * from_stride + j];
        }
    }
    for (; i < count; i++) {
        for (int j = 0; j < length; j++) to[j * to_stride + i] = from[i * from_stride + j];
    }
}

}  // namespace
}  // namespace stego
