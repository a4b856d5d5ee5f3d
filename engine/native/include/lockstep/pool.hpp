// A pool of records addressed by 32-bit handles. Its addresses are reserved once, as many as it could ever use, and
// memory is put behind them as it grows: a live record never moves, growth never stalls the command that causes it for
// longer than one call of the system, and a handle becomes an address by one multiplication and one addition.
//
// Handle 0 means "none" everywhere; the first record has handle 1.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>

#include "lockstep/records.hpp"

namespace lockstep {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

inline std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

// Large blocks lie on huge pages where the system has them: a book's records are read in no order, and with small pages
// the look-up of addresses costs as much as the reads. Advice: it may be refused, and then the pages are small.
inline void advise_huge(void* block, std::size_t bytes) {
#ifdef __linux__
    static_cast<void>(madvise(block, bytes, MADV_HUGEPAGE));
#else
    static_cast<void>(block), static_cast<void>(bytes);
#endif
}

// A block of memory, to be freed with `std::free`.
inline void* allocate(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    const std::size_t unit = bytes >= kHugePage ? kHugePage : kLine;
    const std::size_t size = round_up(bytes, unit);
    void* block = std::aligned_alloc(unit, size);
    if (block == nullptr) throw std::bad_alloc();
    if (unit == kHugePage) advise_huge(block, size);
    return block;
}

// Have the line at an address brought near. Without the second statement GCC sees functions that only prefetch as doing
// nothing, and drops the calls of them.
inline void fetch(const void* address) {
    __builtin_prefetch(address);
    asm volatile("");
}

// Addresses in one piece, the first part of which has memory behind it. Addresses alone cost nothing: the rest is
// neither readable nor counted against any limit on memory.
class Range {
public:
    // At most `bytes`. Less where the machine has less memory than that, or a limit on addresses is set.
    explicit Range(std::size_t bytes) {
        const auto memory = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * page();
        for (size_ = round_up(std::min(bytes, memory), kHugePage);; size_ = round_up(size_ / 2, kHugePage)) {
            start_ = mmap(nullptr, size_ + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (start_ != MAP_FAILED) return;
            if (size_ == kHugePage) throw std::bad_alloc();
        }
    }
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;
    ~Range() { munmap(start_, size_ + kHugePage); }

    std::byte* data() const {
        const auto address = reinterpret_cast<std::uintptr_t>(start_);
        return static_cast<std::byte*>(start_) + (round_up(address, kHugePage) - address);
    }
    // How much of it is usable. It is zero to begin with.
    std::size_t backed() const { return backed_; }

    // Have at least so many bytes usable.
    void back(std::size_t bytes) {
        if (bytes <= backed_) return;
        bytes = round_up(bytes, bytes >= kHugePage ? kHugePage : page());
        if (bytes > size_) throw std::bad_alloc();
        if (mprotect(data(), bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
        if (bytes >= kHugePage) advise_huge(data(), bytes);
        backed_ = bytes;
    }

private:
    static std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

    void* start_ = nullptr;
    std::size_t size_ = 0;
    std::size_t backed_ = 0;
};

using Handle = u32;
inline constexpr Handle kNone = 0;

// It grows by 2^ChunkBits records or more.
template <class T, unsigned ChunkBits>
class Pool {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) >= sizeof(Handle));

public:
    T& operator[](Handle at) { return records_[at]; }
    const T& operator[](Handle at) const { return records_[at]; }

    // A record with unspecified content.
    Handle take() {
        if (free_ != kNone) {
            const Handle at = free_;
            std::memcpy(&free_, static_cast<const void*>(&records_[at]), sizeof free_);
            return at;
        }
        if (next_ >= room_) [[unlikely]]
            grow(std::size_t{next_} + kChunk);
        return next_++;
    }

    void give_back(Handle at) {
        std::memcpy(static_cast<void*>(&records_[at]), &free_, sizeof free_);
        free_ = at;
    }

    // Have room for `count` records, with the pages touched.
    void reserve(std::size_t count) {
        const std::size_t before = range_.backed();
        if (count >= room_) grow(count + 1);
        std::memset(range_.data() + before, 0, range_.backed() - before);
    }

    // Handles ever given out are 1 .. end()-1.
    Handle end() const { return next_; }

private:
    static constexpr std::size_t kChunk = std::size_t{1} << ChunkBits;
    static constexpr std::size_t kHandles = UINT32_MAX;

    void grow(std::size_t count) {
        if (next_ == kHandles) throw std::length_error("pool has used all 2^32 handles");
        range_.back(std::min(count, kHandles) * sizeof(T));
        room_ = std::min(range_.backed() / sizeof(T), kHandles);
    }

    Range range_{kHandles * sizeof(T)};
    T* records_ = reinterpret_cast<T*>(range_.data());
    std::size_t room_ = 0;  // handles below it have memory
    Handle next_ = 1;
    Handle free_ = kNone;
};

}  // namespace lockstep
