// The highest and the lowest of the prices that stood within a span of stamped time, for the breaker.
//
// A price stands from its trade until the next one. A queue keeps the prices that may yet be the extreme: each is further
// out than all that came after it. A price enters and leaves it once, so a trade costs O(1), amortised.
#pragma once

#include <vector>

#include "lockstep/numbers.hpp"

namespace lockstep {

// A price, and the stamp until which it stood: of the latest one, its trade's.
struct Stood {
    i64 price;
    i64 until_ns;
};

template <bool kHighest>
class Extremes {
public:
    static constexpr std::size_t kMost = 1024;

    bool empty() const { return first_ == rows_.size(); }
    std::size_t size() const { return rows_.size() - first_; }
    i64 furthest() const { return rows_[first_].price; }
    const Stood* begin() const { return rows_.data() + first_; }
    const Stood* end() const { return rows_.data() + rows_.size(); }

    void clear() {
        rows_.clear();
        first_ = 0;
    }
    // As a snapshot has it.
    void restore(const Stood& row) { rows_.push_back(row); }

    // Drop the prices that ceased to stand at least `window_ns` ago; the one that stands stays.
    void forget(i64 now_ns, i64 window_ns) {
        while (size() > 1 && i128{now_ns} - rows_[first_].until_ns >= window_ns) ++first_;
    }

    // This price stands from now on, the one before until now.
    void stand(i64 price, i64 now_ns) {
        if (!empty()) rows_.back().until_ns = now_ns;
        while (!empty() && !is_further(rows_.back().price, price)) rows_.pop_back();
        if (size() == kMost) merge();
        // What was dropped from the front makes room once it is the larger part.
        if (first_ > rows_.size() / 2) {
            rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        rows_.push_back({price, now_ns});
    }

private:
    static bool is_further(i64 price, i64 than) { return kHighest ? price > than : price < than; }

    // Two neighbours become one, the further price until the later stamp: the extreme is never nearer than it was.
    void merge() {
        for (std::size_t at = 0; at < kMost / 2; ++at) {
            rows_[at] = {rows_[first_ + 2 * at].price, rows_[first_ + 2 * at + 1].until_ns};
        }
        rows_.resize(kMost / 2);
        first_ = 0;
    }

    std::vector<Stood> rows_;
    std::size_t first_ = 0;  // of those that count
};

// The prices that stood within the span of an instrument's breaker.
struct Span {
    Extremes<true> highest;
    Extremes<false> lowest;

    void clear() {
        highest.clear();
        lowest.clear();
    }
};

}  // namespace lockstep
