// The Python module stego_cli.crf._native: checks the arguments, releases the GIL and refines.
#include "view.hpp"  // of stego_cli/images/native

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "mean_field.hpp"

namespace {

using stego::Loops;
using stego::View;

#ifdef STEGO_X86
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
bool has(int leaf, int word, int bit) {
    int words[4];
    __cpuidex(words, leaf, 0);
    return words[word] >> bit & 1;
}
// Whether the operating system saves the wider registers, as XGETBV reports it.
bool saves(unsigned long long states) { return has(1, 2, 27) && (_xgetbv(0) & states) == states; }
bool has_avx2() { return saves(0x6) && has(7, 1, 5) && has(1, 2, 12); }
bool has_avx512() { return saves(0xe6) && has(7, 1, 16) && has(7, 1, 17) && has(7, 1, 30) && has(7, 1, 31); }
#else
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

// The loops that this processor can run, the fastest first.
std::vector<const Loops*> usable() {
    std::vector<const Loops*> sets;
#ifdef STEGO_X86
    if (has_avx2() && has_avx512()) sets.push_back(&stego::AVX512);
    if (has_avx2()) sets.push_back(&stego::AVX2);
#endif
    sets.push_back(&stego::BASELINE);
    return sets;
}

bool read_kernels(PyObject* list, std::vector<stego::Kernel>& kernels) {
    const Py_ssize_t count = PySequence_Size(list);
    if (count > stego::MOST_KERNELS) {
        PyErr_Format(PyExc_ValueError, "there are %zd kernels, more than %d", count, stego::MOST_KERNELS);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject* item = PySequence_GetItem(list, i);
        if (item == nullptr) return false;
        stego::Kernel kernel{};
        const bool read = PyArg_ParseTuple(item, "fff", &kernel.sxy, &kernel.srgb, &kernel.compat) != 0;
        Py_DECREF(item);
        if (!read) return false;
        if (!(kernel.sxy > 0) || !(kernel.srgb >= 0)) {
            PyErr_SetString(PyExc_ValueError, "deviations must be positive");
            return false;
        }
        kernels.push_back(kernel);
    }
    return count >= 0;
}

PyObject* refine(PyObject*, PyObject* arguments) {
    PyObject *images, *log_probs, *out, *list;
    int count, classes, height, width, iterations, threads;
    const char* instructions;
    if (!PyArg_ParseTuple(arguments, "OOO(iiii)Oiis", &images, &log_probs, &out, &count, &classes, &height, &width,
                          &list, &iterations, &threads, &instructions)) {
        return nullptr;
    }
    if (count < 0 || classes < 1 || classes > stego::MOST_CLASSES || height < 1 || width < 1 || iterations < 0 ||
        threads < 1 || static_cast<long long>(height) * width > 100000000) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range (1 to 256 classes, at most 100 megapixels)");
        return nullptr;
    }
    const Loops* loops = nullptr;
    for (const Loops* set : usable()) {
        if (loops == nullptr && (*instructions == 0 || std::strcmp(instructions, set->name) == 0)) loops = set;
    }
    if (loops == nullptr) {
        PyErr_Format(PyExc_ValueError, "this processor has no %s", instructions);
        return nullptr;
    }
    std::vector<stego::Request> photographs;
    stego::Request request{{height, width}, classes, iterations, nullptr, nullptr, nullptr, {}};
    if (!read_kernels(list, request.kernels)) return nullptr;
    View colours, unary, refined;
    const Py_ssize_t pixels = static_cast<Py_ssize_t>(height) * width;
    const Py_ssize_t values = pixels * classes;
    if (!colours.take(images, count * pixels * 3, false) || !unary.take(log_probs, count * values * 4, false) ||
        !refined.take(out, count * values * 4, true)) {
        return nullptr;
    }
    bool enough_memory = true;
    std::string message;
    Py_BEGIN_ALLOW_THREADS
    try {
        for (int i = 0; i < count; i++) {
            request.image = static_cast<const std::uint8_t*>(colours.buffer.buf) + i * pixels * 3;
            request.log_probs = static_cast<const float*>(unary.buffer.buf) + i * values;
            request.out = static_cast<float*>(refined.buffer.buf) + i * values;
            photographs.push_back(request);
        }
        stego::refine_all(*loops, photographs, threads);
    } catch (const std::bad_alloc&) {
        enough_memory = false;
    } catch (const std::exception& error) {
        message = error.what();
    }
    Py_END_ALLOW_THREADS
    if (!enough_memory) return PyErr_NoMemory();
    if (!message.empty()) {
        PyErr_SetString(PyExc_ValueError, message.c_str());
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* instruction_sets(PyObject*, PyObject*) {
    const std::vector<const Loops*> sets = usable();
    PyObject* names = PyTuple_New(static_cast<Py_ssize_t>(sets.size()));
    for (std::size_t i = 0; names != nullptr && i < sets.size(); i++) {
        PyObject* name = PyUnicode_FromString(sets[i]->name);
        if (name == nullptr || PyTuple_SetItem(names, static_cast<Py_ssize_t>(i), name) != 0) return nullptr;
    }
    return names;
}

PyMethodDef methods[] = {
    {"refine", refine, METH_VARARGS,
     "refine(images, log_probs, out, (count, classes, height, width), kernels, iterations, threads, instructions)\n\n"
     "Contiguous buffers: images uint8 (count, height, width, 3); log_probs and out float32 (count, classes, height,\n"
     "width). kernels: (deviation in pixels, in 8-bit steps or 0, compat) each. instructions: one of\n"
     "instruction_sets(), or empty for the best."},
    {"instruction_sets", instruction_sets, METH_NOARGS, "Names of the usable instruction sets, the best first."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "Dense CRF inference in C++.", -1, methods,
                          nullptr,               nullptr,   nullptr,                       nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&definition); }
