// A pool of records addressed by 32-bit handles. It grows by whole chunks, so that growth never moves a live record
// and never stalls the command that causes it for longer than one allocation.
//
// Handle 0 means "none" everywhere; the first record has handle 1.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "lockstep/records.hpp"

namespace lockstep {

// Memory for records. Large blocks lie on huge pages where the system has them: a book's records are read in no order,
// and with small pages the look-up of addresses costs as much as the reads.
inline void* allocate(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    const std::size_t unit = bytes >= kHugePage ? kHugePage : kLine;
    const std::size_t size = (bytes + unit - 1) / unit * unit;
    void* block = std::aligned_alloc(unit, size);
    if (block == nullptr) throw std::bad_alloc();
#ifdef __linux__
    // Advice: it may be refused, and then the pages are small.
    if (unit == kHugePage) static_cast<void>(madvise(block, size, MADV_HUGEPAGE));
#endif
    return block;
}

using Handle = u32;
inline constexpr Handle kNone = 0;

template <class T, unsigned ChunkBits>
class Pool {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) >= sizeof(Handle));

public:
    static constexpr u32 kChunk = u32{1} << ChunkBits;

    Pool() = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    Pool(Pool&&) = delete;
    Pool& operator=(Pool&&) = delete;
    ~Pool() {
        for (T* chunk : chunks_) std::free(chunk);
    }

    T& operator[](Handle at) { return chunks_[at >> ChunkBits][at & (kChunk - 1)]; }
    const T& operator[](Handle at) const { return chunks_[at >> ChunkBits][at & (kChunk - 1)]; }

    // A record with unspecified content.
    Handle take() {
        if (free_ != kNone) {
            const Handle at = free_;
            std::memcpy(&free_, static_cast<const void*>(&(*this)[at]), sizeof free_);
            return at;
        }
        if ((next_ >> ChunkBits) >= chunks_.size()) add_chunk();
        if (next_ == UINT32_MAX) throw std::length_error("pool has used all 2^32 handles");
        return next_++;
    }

    void give_back(Handle at) {
        std::memcpy(static_cast<void*>(&(*this)[at]), &free_, sizeof free_);
        free_ = at;
    }

    // Have room for `count` records, with the pages touched.
    void reserve(std::size_t count) {
        while (chunks_.size() * kChunk < count + 1) {
            add_chunk();
            std::memset(static_cast<void*>(chunks_.back()), 0, sizeof(T) * kChunk);
        }
    }

    // Handles ever given out are 1 .. end()-1.
    Handle end() const { return next_; }

private:
    void add_chunk() {
        chunks_.reserve(chunks_.size() + 1);
        chunks_.push_back(static_cast<T*>(allocate(sizeof(T) * kChunk)));
    }

    std::vector<T*> chunks_;
    Handle next_ = 1;
    Handle free_ = kNone;
};

}  // namespace lockstep
