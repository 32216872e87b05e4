// A hash table from the keys of vertices to ids, which count the keys in the order of their insertion.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "buffer.hpp"

namespace stego {

class KeyTable {
  public:
    // Empties the table and makes room for `expected` keys; it grows if there are more.
    void reset(std::size_t expected) {
        keys_.clear();
        keys_.reserve(expected);
        resize_slots(expected);
    }

    const std::vector<std::int64_t>& keys() const { return keys_; }

    void prefetch(std::int64_t key) const {
#if defined(__GNUC__) || defined(__clang__)
        __builtin_prefetch(slots_.get() + home(key));
#else
        (void)key;
#endif
    }

    // The id of a key, or -1.
    std::int32_t find(std::int64_t key) const {
        for (std::size_t at = home(key);; at = (at + 1) & mask_) {
            const Slot& slot = slots_.get()[at];
            if (slot.key == key) return slot.id;
            if (slot.key == EMPTY) return -1;
        }
    }

    // The id of a key, which is added if it is new.
    std::int32_t insert(std::int64_t key) {
        for (std::size_t at = home(key);; at = (at + 1) & mask_) {
            Slot& slot = slots_.get()[at];
            if (slot.key == key) return slot.id;
            if (slot.key == EMPTY) {
                const auto id = static_cast<std::int32_t>(keys_.size());
                slot = {key, id};
                keys_.push_back(key);
                if (keys_.size() * 2 > mask_) resize_slots(keys_.size() * 2);
                return id;
            }
        }
    }

    std::size_t bytes() const { return slots_.bytes() + keys_.capacity() * sizeof(std::int64_t); }

  private:
    static constexpr std::int64_t EMPTY = -1;
    struct Slot {
        std::int64_t key;
        std::int32_t id;
    };

    std::size_t home(std::int64_t key) const {
        return (static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15u >> 20) & mask_;
    }

    void resize_slots(std::size_t expected) {
        std::size_t size = 1024;
        while (size < expected * 2) size *= 2;
        Slot* slots = slots_.ensure(size);
        std::fill(slots, slots + size, Slot{EMPTY, -1});
        mask_ = size - 1;
        for (std::size_t id = 0; id < keys_.size(); id++) {
            std::size_t at = home(keys_[id]);
            while (slots[at].key != EMPTY) at = (at + 1) & mask_;
            slots[at] = {keys_[id], static_cast<std::int32_t>(id)};
        }
    }

    Buffer<Slot> slots_;
    std::vector<std::int64_t> keys_;
    std::size_t mask_ = 0;
};

}  // namespace stego
