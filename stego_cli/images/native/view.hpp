// Memory of Python objects, as arguments of native functions.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace stego {

// A view of an object's memory, released at the end of the scope.
struct View {
    Py_buffer buffer{};
    bool held = false;

    View() = default;
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    ~View() {
        if (held) PyBuffer_Release(&buffer);
    }

    // Takes a contiguous buffer of exactly so many bytes; false with a Python error if it is none.
    bool take(PyObject* object, Py_ssize_t bytes, bool writable) {
        if (PyObject_GetBuffer(object, &buffer, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0) return false;
        held = true;
        if (buffer.len == bytes) return true;
        PyErr_Format(PyExc_ValueError, "an array has %zd bytes, not %zd", buffer.len, bytes);
        return false;
    }
    template <class T> T* as() const { return static_cast<T*>(buffer.buf); }
};

}  // namespace stego
