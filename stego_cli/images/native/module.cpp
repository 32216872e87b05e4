// The Python module stego_cli.images._native: checks the arguments, releases the GIL and works on pixels.
#include "view.hpp"

#include <new>

#include "pixels.hpp"

namespace {

using stego::Size;
using stego::View;

constexpr int MOST_SIDE = 1 << 20;  // pixels, so that a row's sums stay small and its places fit an int
constexpr int MOST_CLASSES = 256;

// Of Apache Arrow's C data interface, which Pillow offers its pixels through: what is read of it.
struct ArrowArray {
    std::int64_t length, null_count, offset, n_buffers, n_children;
    const void** buffers;
    ArrowArray** children;
};

bool fits(Size size) {
    if (size.height > 0 && size.width > 0 && size.height <= MOST_SIDE && size.width <= MOST_SIDE) return true;
    PyErr_SetString(PyExc_ValueError, "a size is out of range");
    return false;
}

// Returns the bytes of an RGB picture, four a pixel; null with a Python error where the object has no such.
const std::uint8_t* pixels_of(PyObject* capsule, Size size) {
    const auto* array = static_cast<const ArrowArray*>(PyCapsule_GetPointer(capsule, "arrow_array"));
    if (array == nullptr) return nullptr;
    const auto pixels = static_cast<std::int64_t>(size.pixels());
    if (array->length != pixels || array->offset != 0 || array->n_children != 1 ||
        array->children[0]->length != 4 * pixels || array->children[0]->offset != 0 ||
        array->children[0]->n_buffers != 2) {
        PyErr_SetString(PyExc_ValueError, "not a picture of four bytes a pixel");
        return nullptr;
    }
    return static_cast<const std::uint8_t*>(array->children[0]->buffers[1]);
}

// Calls work() without the GIL; returns None, or null with a Python error where memory ran out.
template <class Work> PyObject* without_gil(Work work) {
    bool enough_memory = true;
    Py_BEGIN_ALLOW_THREADS
    try {
        work();
    } catch (const std::bad_alloc&) {
        enough_memory = false;
    }
    Py_END_ALLOW_THREADS
    if (!enough_memory) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject* resize(PyObject*, PyObject* arguments) {
    PyObject *capsule, *target;
    Size from{}, to{};
    if (!PyArg_ParseTuple(arguments, "O(ii)O(ii)", &capsule, &from.height, &from.width, &target, &to.height,
                          &to.width) ||
        !fits(from) || !fits(to)) {
        return nullptr;
    }
    const std::uint8_t* image = pixels_of(capsule, from);
    View out;
    if (image == nullptr || !out.take(target, Py_ssize_t(3 * to.pixels()), true)) return nullptr;
    return without_gil([&] { stego::resize_rgb(image, from, out.as<std::uint8_t>(), to); });
}

PyObject* choose(PyObject*, PyObject* arguments) {
    PyObject *values, *labels, *winners;
    int classes;
    Py_ssize_t pixels;
    if (!PyArg_ParseTuple(arguments, "OOO(in)", &values, &labels, &winners, &classes, &pixels)) return nullptr;
    if (classes < 1 || classes > MOST_CLASSES || pixels < 1 || pixels > PY_SSIZE_T_MAX / 4 / classes) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range (1 to 256 classes)");
        return nullptr;
    }
    View planes, chosen, wins;
    if (!planes.take(values, 4 * pixels * classes, false) || !chosen.take(labels, pixels, true) ||
        !wins.take(winners, MOST_CLASSES, true)) {
        return nullptr;
    }
    return without_gil([&] {
        stego::choose(planes.as<float>(), classes, std::size_t(pixels), chosen.as<std::uint8_t>(),
                      wins.as<std::uint8_t>());
    });
}

PyObject* enlarge(PyObject*, PyObject* arguments) {
    PyObject *values, *numbers, *highest, *chosen;
    int classes;
    Size from{}, to{};
    if (!PyArg_ParseTuple(arguments, "OOOO(iiiii)", &values, &numbers, &highest, &chosen, &classes, &from.height,
                          &from.width, &to.height, &to.width) ||
        !fits(from) || !fits(to)) {
        return nullptr;
    }
    if (classes < 1 || classes > MOST_CLASSES) {
        PyErr_SetString(PyExc_ValueError, "the number of classes is out of range (1 to 256)");
        return nullptr;
    }
    View planes, ids, best, labels;
    const auto pixels = Py_ssize_t(to.pixels());
    if (!planes.take(values, 4 * Py_ssize_t(from.pixels()) * classes, false) || !ids.take(numbers, classes, false) ||
        !best.take(highest, 4 * pixels, true) || !labels.take(chosen, pixels, true)) {
        return nullptr;
    }
    return without_gil([&] {
        stego::enlarge(planes.as<float>(), ids.as<std::uint8_t>(), classes, from, to, best.as<float>(),
                       labels.as<std::uint8_t>());
    });
}

PyObject* count(PyObject*, PyObject* arguments) {
    PyObject *values, *sums;
    Py_ssize_t pixels;
    if (!PyArg_ParseTuple(arguments, "OOn", &values, &sums, &pixels)) return nullptr;
    View labels, counts;
    if (!labels.take(values, pixels, false) || !counts.take(sums, 8 * MOST_CLASSES, true)) return nullptr;
    return without_gil(
        [&] { stego::count(labels.as<std::uint8_t>(), std::size_t(pixels), counts.as<std::int64_t>()); });
}

PyMethodDef methods[] = {
    {"resize", resize, METH_VARARGS,
     "resize(arrow_array, (height, width), out, (height, width))\n\n"
     "A picture of four bytes a pixel, as Pillow keeps RGB, to uint8 (height, width, 3), by Pillow's bilinear filter."},
    {"choose", choose, METH_VARARGS,
     "choose(planes, chosen, wins, (classes, pixels))\n\n"
     "The class of the largest value of each pixel; planes float32 (classes, pixels), chosen uint8 (pixels), wins\n"
     "uint8 (256), set to 1 where a class has a pixel."},
    {"enlarge", enlarge, METH_VARARGS,
     "enlarge(planes, ids, best, labels, (classes, height, width, new height, new width))\n\n"
     "Resizes planes float32 (classes, height, width) by Pillow's bilinear filter; where a value is larger than in best,\n"
     "float32, that takes it, and labels, uint8, the plane's id, uint8 (classes)."},
    {"count", count, METH_VARARGS, "count(labels, counts, pixels)\n\nAdds to counts, int64 (256), for uint8 labels."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "Passes over pixels in C++.", -1, methods,
                          nullptr,               nullptr,   nullptr,                      nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&definition); }
