// Limit up, limit down: bands around the mean of an instrument's latest trades. The limits alone; `limit_state.hpp` says
// what follows from them.
#pragma once

#include <vector>

#include "lockstep/codes.hpp"

namespace lockstep {

// What SET_BANDS sets.
struct BandRules {
    u32 high_ppm;
    u32 middle_ppm;
    u32 low_ppm;
    u32 step_ppm;
    i64 high_above;
    i64 low_below;
    i64 low_most;
    i64 window_ns;
    i64 limit_ns;
    i64 pause_ns;
};

// Trades that came close together: stamp of the first, their number, the sum of their prices.
struct Sales {
    i64 first_ns;
    u64 count;
    u128 ticks;
};

// The latest trades, oldest first, with their sum and number: O(1) for a trade.
class Window {
public:
    static constexpr std::size_t kMost = 1024;

    std::size_t size() const { return rows_.size() - first_; }
    const Sales* begin() const { return rows_.data() + first_; }
    const Sales* end() const { return rows_.data() + rows_.size(); }

    void clear() {
        rows_.clear();
        first_ = 0;
        count_ = 0;
        ticks_ = 0;
    }
    void restore(const Sales& row) {
        rows_.push_back(row);
        count_ += row.count;
        ticks_ += row.ticks;
    }
    void note(i64 price, i64 now_ns, i64 window_ns) {
        forget(now_ns, window_ns);
        const i64 grain_ns = (window_ns + i64{kMost} - 1) / i64{kMost};
        if (size() == 0 || i128{now_ns} - rows_.back().first_ns >= grain_ns) {
            // What was dropped from the front makes room once it is the larger part.
            if (first_ > rows_.size() / 2) {
                rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(first_));
                first_ = 0;
            }
            rows_.push_back({now_ns, 0, 0});
        }
        ++rows_.back().count;
        rows_.back().ticks += static_cast<u128>(price);
        ++count_;
        ticks_ += static_cast<u128>(price);
    }
    // Drop what is no longer within the window.
    void forget(i64 now_ns, i64 window_ns) {
        while (size() != 0 && i128{now_ns} - rows_[first_].first_ns >= window_ns) {
            count_ -= rows_[first_].count;
            ticks_ -= rows_[first_].ticks;
            ++first_;
        }
    }
    // To the nearest tick, halves up; 0: there are no trades.
    i64 mean() const { return count_ == 0 ? 0 : static_cast<i64>((2 * ticks_ + count_) / (2 * count_)); }

private:
    std::vector<Sales> rows_;
    std::size_t first_ = 0;  // of those that count
    u128 count_ = 0;
    u128 ticks_ = 0;
};

// An instrument's bands. `low` and `high` are 0 while there is no reference price.
struct Bands {
    BandRules terms = {};
    u8 factor = 1;  // how many times as wide: 1 or 2
    u8 state = limit_state::NORMAL;
    i64 reference = 0;
    i64 since_ns = 0;
    i64 low = 0;
    i64 high = 0;
    i64 until_ns = 0;  // when a limit state ends in a pause, else 0
    Window window;

    bool is_set() const { return terms.window_ns != 0; }
    bool is_limit() const { return state == limit_state::LIMIT_UP || state == limit_state::LIMIT_DOWN; }

    // The phase has changed: no trades, no limit state.
    void begin_anew() {
        window.clear();
        state = limit_state::NORMAL;
        until_ns = 0;
    }
    // What the reference price has to become now; 0: it stays.
    i64 next_reference(i64 now_ns) {
        window.forget(now_ns, terms.window_ns);
        const i64 mean = window.mean();
        if (reference == 0 || mean == 0) return mean;
        const bool kept = i128{now_ns} - since_ns < terms.window_ns / 10;
        const i64 away = mean > reference ? mean - reference : reference - mean;
        const bool near = i128{away} * kPpm < i128{terms.step_ppm} * reference;
        return kept || near ? 0 : mean;
    }
    void move(i64 to, i64 close, i64 now_ns) {
        reference = to;
        since_ns = now_ns;
        fit(close);
    }
    // The limits around the reference price, if there is one. `close`: previous one, 0 if not known.
    void fit(i64 close) {
        if (reference == 0) return;
        const i64 width = width_at(close != 0 ? close : reference) * factor;
        low = reference > width ? reference - width : 1;
        high = reference + width < kMaxPriceTicks ? reference + width : kMaxPriceTicks;
    }

private:
    i64 width_at(i64 close) const {
        if (close > terms.high_above) return rounded(terms.high_ppm);
        if (close >= terms.low_below) return rounded(terms.middle_ppm);
        const i64 width = rounded(terms.low_ppm);
        return terms.low_most != 0 && terms.low_most < width ? terms.low_most : width;
    }
    // So many millionths of the reference price, to the nearest tick, halves up; a tick at least.
    i64 rounded(u32 ppm) const {
        const i64 width = static_cast<i64>((i128{reference} * ppm + kPpm / 2) / kPpm);
        return width > 1 ? width : 1;
    }
};

}  // namespace lockstep
