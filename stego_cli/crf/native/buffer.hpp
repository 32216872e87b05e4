// Memory that is kept for the next photograph: touching fresh pages takes as long as filtering in them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#endif

namespace stego {

// An uninitialised array, aligned to a cache line (a large one to huge pages).
template <class T> class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { release(); }

    // Returns room for `count` elements. The content is lost if the array has to grow.
    T* ensure(std::size_t count) {
        if (count > capacity_) {
            release();
            const std::size_t page = count * sizeof(T) >= HUGE_PAGE ? HUGE_PAGE : 64;
            const std::size_t bytes = (count * sizeof(T) + page - 1) / page * page;
            data_ = static_cast<T*>(allocate(page, bytes));
            if (data_ == nullptr) throw std::bad_alloc();
            capacity_ = bytes / sizeof(T);
        }
        return data_;
    }
    void release() {
#if defined(_WIN32)
        _aligned_free(data_);
#else
        std::free(data_);
#endif
        data_ = nullptr;
        capacity_ = 0;
    }

    T* get() { return data_; }
    const T* get() const { return data_; }
    std::size_t bytes() const { return capacity_ * sizeof(T); }

  private:
    static constexpr std::size_t HUGE_PAGE = std::size_t(2) << 20;

    static void* allocate(std::size_t alignment, std::size_t bytes) {
#if defined(_WIN32)
        return _aligned_malloc(bytes, alignment);
#else
        void* place = nullptr;
        if (posix_memalign(&place, alignment, bytes) != 0) return nullptr;
#if defined(__linux__)
        if (alignment == HUGE_PAGE) madvise(place, bytes, MADV_HUGEPAGE);  // if refused, only slower
#endif
        return place;
#endif
    }
    T* data_ = nullptr;
    std::size_t capacity_ = 0;
};

}  // namespace stego
