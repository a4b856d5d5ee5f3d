// Open-addressed map from an id to a handle: linear probing, deletion by shifting back (no tombstones), growth by
// moving a few entries with each later insertion, so that no single command pays for a whole rehash.
//
// A slot holds 32 bits of the key's hash and the handle, 8 bytes together; the key itself lies in the record that the
// handle names, and the caller's `is_key` compares it. Nothing ever iterates over a map, so its order is not state.
#pragma once

#include <memory>
#include <stdexcept>
#include <vector>

#include "lockstep/pool.hpp"

namespace lockstep {

inline u32 hash_id(u64 id) {
    id ^= id >> 32;
    return static_cast<u32>((id * 0x9E3779B97F4A7C15ULL) >> 32);
}

inline u32 hash_pair(u32 first, u64 second) {
    return hash_id(second ^ (u64{first} * 0xD6E8FEB86659FD93ULL));
}

class IdMap {
public:
    explicit IdMap(std::size_t expected = 0) {
        std::size_t capacity = kSmallest;
        while (capacity < 2 * expected) capacity *= 2;
        table_ = Table(capacity);
        room_ = capacity / 2;
    }

    template <class IsKey>
    [[gnu::always_inline]] Handle find(u32 hash, IsKey&& is_key) const {
        const std::size_t at = table_.locate(hash, is_key);
        if (at != kMissing) return table_.slots[at].handle;
        if (old_.used != 0) [[unlikely]] {
            const std::size_t before = old_.locate(hash, is_key);
            if (before != kMissing) return old_.slots[before].handle;
        }
        return kNone;
    }

    // The key must not be in the map.
    [[gnu::always_inline]] void insert(u32 hash, Handle handle) {
        if (table_.used >= room_) [[unlikely]]
            make_room();
        table_.put({hash, handle});
    }

    // The handle must be in the map under this hash.
    [[gnu::always_inline]] void erase(u32 hash, Handle handle) {
        const auto is_it = [handle](Handle other) { return other == handle; };
        std::size_t at = table_.locate(hash, is_it);
        if (at != kMissing) {
            table_.remove(at);
            return;
        }
        at = old_.used != 0 ? old_.locate(hash, is_it) : kMissing;
        if (at == kMissing) throw std::logic_error("id map lost a handle");
        old_.remove(at);
    }

    void prefetch(u32 hash) const { fetch(&table_.slots[hash & table_.mask]); }

    // A handle that is probably the one under this hash, or none; nothing but a hint.
    Handle guess(u32 hash) const {
        const Slot slot = table_.slots[hash & table_.mask];
        if (slot.hash == hash) return slot.handle;
        const Slot next = table_.slots[(hash + 1) & table_.mask];
        return next.hash == hash ? next.handle : kNone;
    }

    std::size_t size() const { return table_.used + old_.used; }
    // Bytes of its table, which are read in no order.
    std::size_t bytes() const { return table_.capacity() * sizeof(Slot); }

private:
    static constexpr std::size_t kSmallest = 64;
    static constexpr std::size_t kMissing = SIZE_MAX;
    // Moving a table of n slots takes at most 1.5 n steps; the next growth is n/2 insertions away or more.
    static constexpr unsigned kStepsPerInsert = 8;

    struct Slot {
        u32 hash;
        Handle handle;
    };
    struct Free {
        void operator()(Slot* slots) const { std::free(slots); }
    };

    struct Table {
        std::unique_ptr<Slot[], Free> slots;
        std::size_t mask = 0;
        std::size_t used = 0;

        Table() = default;
        explicit Table(std::size_t capacity)
            : slots(static_cast<Slot*>(allocate(capacity * sizeof(Slot)))), mask(capacity - 1) {
            std::memset(static_cast<void*>(slots.get()), 0, capacity * sizeof(Slot));
        }
        std::size_t capacity() const { return slots ? mask + 1 : 0; }

        template <class IsKey>
        [[gnu::always_inline]] std::size_t locate(u32 hash, IsKey&& is_key) const {
            for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
                const Slot slot = slots[at];
                if (slot.handle == kNone) return kMissing;
                if (slot.hash == hash && is_key(slot.handle)) return at;
            }
        }

        void put(Slot slot) {
            std::size_t at = slot.hash & mask;
            while (slots[at].handle != kNone) at = (at + 1) & mask;
            slots[at] = slot;
            ++used;
        }

        // Close the gap with the entries behind it that may stand there.
        [[gnu::always_inline]] void remove(std::size_t gap) {
            --used;
            for (std::size_t at = (gap + 1) & mask; slots[at].handle != kNone; at = (at + 1) & mask) {
                const std::size_t home = slots[at].hash & mask;
                if (((at - home) & mask) >= ((at - gap) & mask)) {
                    slots[gap] = slots[at];
                    gap = at;
                }
            }
            slots[gap] = {0, kNone};
        }
    };

    void make_room() {
        if (2 * (size() + 1) > table_.capacity()) grow();
        move_some();
        // While entries are left to move, each insertion comes here.
        room_ = old_.used != 0 ? 0 : table_.capacity() / 2;
    }

    void grow() {
        while (old_.used != 0) move_some();
        Table larger(table_.capacity() * 2);
        old_ = std::move(table_);
        table_ = std::move(larger);
        cursor_ = 0;
    }

    void move_some() {
        for (unsigned step = 0; step < kStepsPerInsert && old_.used != 0; ++step) {
            const Slot slot = old_.slots[cursor_];
            if (slot.handle == kNone) {
                cursor_ = (cursor_ + 1) & old_.mask;
            } else {
                old_.remove(cursor_);
                table_.put(slot);
            }
        }
        if (old_.used == 0) old_ = Table();
    }

    Table table_;
    Table old_;
    std::size_t cursor_ = 0;
    std::size_t room_ = 0;  // how many entries are inserted without a further look
};

// From the numbers that an operator gives to handles. Most begin at 1 and go up, so the low ones are looked up in an
// array as long as the highest of them.
class NumberMap {
public:
    explicit NumberMap(std::size_t expected = 0) : low_(std::min(expected + 1, kLow)) {}

    template <class IsKey>
    [[gnu::always_inline]] Handle find(u32 number, IsKey&& is_key) const {
        if (number < low_.size()) [[likely]]
            return low_[number];
        return number < kLow ? kNone : high_.find(hash_id(number), is_key);
    }

    // The number must not be in the map.
    void insert(u32 number, Handle handle) {
        if (number >= kLow) return high_.insert(hash_id(number), handle);
        if (number >= low_.size()) low_.resize(number + std::size_t{1});
        low_[number] = handle;
    }

private:
    static constexpr std::size_t kLow = std::size_t{1} << 16;

    std::vector<Handle> low_;
    IdMap high_;
};

}  // namespace lockstep
