// The passes over pixels that stego_cli/images hands to native code, on plain arrays and without Python.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stego {

struct Size {
    int height, width;
    std::size_t pixels() const { return std::size_t(height) * std::size_t(width); }
};

// Resizes a picture of four bytes a pixel, of which the first three are RGB, to three bytes a pixel, as Pillow does
// with its bilinear filter: horizontally, then vertically, in fixed point, rounded to 8 bits after each.
void resize_rgb(const std::uint8_t* image, Size from, std::uint8_t* out, Size to);

// Writes the class of the largest value of each pixel, the first of equal ones, and 1 for each class that has a pixel.
// planes: (classes, pixels); chosen: (pixels); wins: (256).
void choose(const float* planes, int classes, std::size_t pixels, std::uint8_t* chosen, std::uint8_t* wins);

// Resizes planes as Pillow does with its bilinear filter (sums in double, rounded to float after each direction), and
// takes a class where its value is larger than all before it. Nothing is kept of a plane but the rows in use.
// planes: (classes, from); ids: (classes), the class of each plane; best and labels: (to), read and written.
void enlarge(const float* planes, const std::uint8_t* ids, int classes, Size from, Size to, float* best,
             std::uint8_t* labels);

// Adds the number of pixels of each value. counts: (256).
void count(const std::uint8_t* labels, std::size_t pixels, std::int64_t* counts);

}  // namespace stego
