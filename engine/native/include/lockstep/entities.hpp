// What there is: orders, price levels, books, accounts with their positions and limits, sessions.
//
// Records point to each other by handle. What a command touches most lies together: an order's first cache line is
// what a trade needs, and the links of all lists an order is in are 16 bytes apart from it, four orders to a line.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "lockstep/bands.hpp"
#include "lockstep/codes.hpp"
#include "lockstep/price_index.hpp"
#include "lockstep/restraints.hpp"
#include "lockstep/stood.hpp"

namespace lockstep {

// Where a live order is; `kGone` marks records that hold none.
enum Place : u8 { kInBook = 0, kWaitsForStop = 1, kWaitsForClose = 2, kWaitsForParent = 3, kGone = 255 };

// Bits of `Order::marked`. Nearly all orders have none, which is asked once, when one is forgotten.
enum Mark : u8 {
    kBookmarked = 1,  // a listing may go on here
    kHasStop = 2,     // in the book, and among the stops: an OCO order
    kIsParent = 4,    // others wait for its end
    kIsWatched = 8,   // its instrument has, or had, bands
    kEndsAtHalt = 16,  // CANCEL_ON_HALT
};

// An order from its acceptance on. It is live while it rests in a level or waits.
struct alignas(64) Order {
    u64 order_id;
    u64 client_order_id;
    u64 session_id;
    i64 price;  // what the client named: of a market order its protection, 0 if it has none
    i64 leaves;
    Handle level;
    Handle account;
    Handle position;
    Handle book;
    u8 side;
    u8 order_type;
    u8 tif;
    u8 stp;
    u8 flags;
    u8 place;
    u8 marked;  // `Mark`s: what else knows of it
    u8 unused;
    // Second line.
    i64 lot_micros;  // what one lot reserves while the order is live (buy), or brings in at the least (sell)
    i64 quantity;
    i64 held;     // where it stands in the book: its price, but of a market order what protection and band hold it to
    i32 display;  // iceberg: the size of a peak
    i32 shown;    // iceberg in the book: what is left of the present peak
    i64 expire_ns;
    i64 stop;
    i64 trail;
    u64 queue_no;  // while it waits for the closing auction: its place among those

    bool is_hidden() const { return (flags & order_flag::HIDDEN) != 0; }
    bool is_market() const { return order_type == order_type::MARKET; }
    bool is_oco() const { return order_type == order_type::OCO; }
    // Whether the book shows less than the whole of it, wherever it stands there.
    bool is_unseen() const { return display != 0 || is_hidden() || is_market(); }
    // Whether a client named the price at which it stands in the book; the band or one tick are nobody's price.
    bool is_named() const { return price == held; }
    // Show as much as a peak may.
    void show_peak() { shown = display < leaves ? display : static_cast<i32>(leaves); }
    // When it ends. A market order that gathers is there for the next uncross, whatever it said.
    u8 ends_as() const {
        return is_market() && tif != tif::AT_CLOSE ? u8{tif::AT_OPEN} : tif;
    }
};
static_assert(sizeof(Order) == 128);

// Neighbours in the level's queue and in the account's list of live orders.
struct OrderLinks {
    Handle next;
    Handle previous;
    Handle account_next;
    Handle account_previous;
};

struct Queue {
    Handle head;
    Handle tail;
};

// All orders at one price, first come first served: queues[0] are the displayed ones, queues[1] the hidden ones, which
// come after all of those. `quantity` is the sum of all open lots, never 0.
struct Level {
    i64 price;
    i64 quantity;
    Queue queues[2];
    u32 orders;
    Handle better;  // neighbours in the order of priority
    Handle worse;
    Handle leaf;  // where the side's index has it

    Handle front() const { return queues[0].head != kNone ? queues[0].head : queues[1].head; }
};

struct Half {
    PriceIndex index;
    Handle best = kNone;  // the level at the best price
    u32 unseen = 0;       // orders here of which the book shows less than the whole; queries look for them only if there are any
};

// How many orders an instrument, or the market, takes; 0 is as many as come. A token bucket, kept as its theoretical
// arrival time.
struct Throttle {
    static constexpr i64 kSecondNs = 1'000'000'000;

    i64 orders_per_second;
    i64 burst_orders;
    i64 tat_ns;

    bool is_set() const { return orders_per_second != 0; }
    bool has_token(i64 now_ns) const {
        return !is_set() || i128{tat_ns} - now_ns <= i128{burst_orders - 1} * (kSecondNs / orders_per_second);
    }
    void take_token(i64 now_ns) {
        if (is_set()) tat_ns = (tat_ns > now_ns ? tat_ns : now_ns) + kSecondNs / orders_per_second;
    }
};

// Bits of `Book::ruled`: what asks after each order that is taken.
enum Ruled : u8 {
    kThrottled = 1,  // by its own throttle, or the market's
    kBanded = 2,
    kWholeLots = 4,  // odd lots are refused
    kRestrained = 8,  // not everybody may do everything, or short sales are held to a price
};

// One instrument's market. `halves[0]` are the bids, `halves[1]` the asks; in CONTINUOUS they are never crossed
// between two commands.
struct Book {
    u32 instrument;
    u32 fee_ppm;      // the greater of the two rates
    i64 unit_micros;  // worth of one lot at one tick
    i64 last;         // price of the latest trade, 0 before the first
    i64 reference;
    Half halves[2];
    u8 phase;
    u8 ruled;  // `Ruled`s
    u8 next_phase;
    u8 breaker_phase;
    u8 terms_rules;  // whether anything limits the prices of orders, or their lots to round ones
    u8 watches;      // whether anything looks at the prices of trades: breaker, bands
    i32 maker_fee_ppm;  // below 0: a rebate
    u32 taker_fee_ppm;
    u32 band_ppm;
    u32 collar_ppm;
    u32 breaker_ppm;
    u32 live;   // orders that rest or wait
    u32 stops;  // orders that wait for a stop price
    u32 initial_ppm;
    u32 maintenance_ppm;
    i64 index_weight;
    i64 close;  // that the index is measured from, 0 if not known
    i64 until_ns;
    i64 breaker_window_ns;
    i64 breaker_pause_ns;
    i64 tick_micros;
    i64 lot_units;
    char symbol[32];
    Throttle throttle;
    Bands* bands;    // in its `Waiting`
    u32 round_lots;  // 0: there are none
    u8 odd_lots;
    u8 lot_display;
    struct {
        i64 weight;
        i64 close;
        i64 price;
    } indexed;  // what of it is in the sums of the market
    Restraints* restraints;  // in its `Waiting`

    bool is_in_index() const { return index_weight != 0 && close != 0; }
    // It trades, and no rule of its own looks at the price of an order, or adds to its worth.
    bool is_unruled() const {
        return (phase | ruled << 8) == phase::CONTINUOUS && (band_ppm | collar_ppm | fee_ppm) == 0;
    }
    bool is_banded() const { return (ruled & kBanded) != 0; }
    // Whether it may trade between its bands only.
    bool bands_hold() const { return is_banded() && phase == phase::CONTINUOUS && bands->reference != 0; }
    // Whether it takes an order of so many lots.
    bool takes_lots(i64 lots) const { return (ruled & kWholeLots) == 0 || lots % round_lots == 0; }
    bool is_restrained() const { return (ruled & kRestrained) != 0; }
    // After price limits, bands, lots or restrictions were set.
    void rerule() {
        const bool whole = round_lots != 0 && odd_lots == odd_lots::REFUSE;
        ruled = static_cast<u8>((ruled & kThrottled) | (bands->is_set() ? kBanded : 0) | (whole ? kWholeLots : 0) |
                                (restraints->is_set() ? kRestrained : 0));
        terms_rules = (band_ppm | collar_ppm) != 0 || is_banded() || whole;
        watches = breaker_ppm != 0 || is_banded() || restraints->fall_ppm != 0;
    }
    // Price at which positions are valued, 0 if not known.
    i64 mark() const { return last != 0 ? last : reference; }
    void set_fees(i32 maker_ppm, u32 taker_ppm) {
        maker_fee_ppm = maker_ppm;
        taker_fee_ppm = taker_ppm;
        fee_ppm = maker_ppm > static_cast<i64>(taker_ppm) ? static_cast<u32>(maker_ppm) : taker_ppm;
    }
};

// An order that waits for the end of another one. While that is live, what it has traded since is `lots` and what it has
// traded and lost in all (`quantity - leaves`); afterwards it is `lots`.
struct Child {
    Handle at;
    u64 parent_id;  // 0: it has ended
    i64 lots;

    static constexpr std::size_t kMost = 4;     // of one parent
    static constexpr u32 kMostOfAccount = 1024;
};

// Orders outside the book of one instrument, in the order in which they are set off; what its breaker remembers, its bands.
struct Waiting {
    using ByStop = std::map<std::pair<i64, u64>, Handle>;  // buys by (stop, id), sells by (-stop, id)
    ByStop stops[2];  // OCO orders too, which are in the book as well
    std::map<u64, Handle> trailing;  // of these, by order id
    std::map<u64, Handle> for_close;   // by queue_no
    std::map<u64, Handle> for_parent;  // by order id
    std::set<u64> released;            // of these, whose parent has ended
    Span span;
    Bands bands;
    Restraints restraints;
    u32 end_at_halt = 0;  // live orders of the instrument that do
};

// Lots held of one instrument, and what they cost. `reserved` and `buying` are the open lots of the account's live
// sells and buys. `cost` and `realised` decide nothing. `opened` is the business day of the latest trade that opened or
// enlarged it and was not closed by a day trade (0: none), if its account is held to the day-trade rule.
struct Position {
    Handle account;
    Handle book;
    Handle account_next;  // the account's other positions
    u32 unused;
    i64 quantity;
    i64 reserved;
    i64 buying;
    i64 cost;
    i64 realised;
    i64 opened;

    // Book a purchase (positive lots) or sale (negative) for `value` micros.
    void trade(i64 lots, i64 value) {
        const i64 held = quantity;
        quantity = held + lots;
        if (held == 0 || (held > 0) == (lots > 0)) {
            if (__builtin_add_overflow(cost, value, &cost)) cost = kI64Max;
            return;
        }
        const i64 size = magnitude(lots);
        const i64 had = magnitude(held);
        const i64 closed = size < had ? size : had;
        const i64 out = share(cost, closed, had);
        const i64 part = share(value, closed, size);
        const i128 profit = i128{realised} + (lots < 0 ? i128{part} - out : i128{out} - part);
        realised = static_cast<i64>(profit > kI64Max ? kI64Max : profit < -kI64Max ? -kI64Max : profit);
        cost = size <= had ? cost - out : value - part;
    }
    // Set the lots without a trade: what goes takes its share of the cost along, what comes has cost nothing.
    void adjust(i64 after) {
        const i64 held = quantity;
        quantity = after;
        if (held == 0 || after == 0 || (held > 0) != (after > 0)) {
            cost = 0;
        } else if (magnitude(after) < magnitude(held)) {
            cost -= share(cost, magnitude(held) - magnitude(after), magnitude(held));
        }
    }
    // floor(whole * part / of); all at least 0, part <= of.
    static i64 share(i64 whole, i64 part, i64 of) {
        if (part == of) return whole;
        i64 product = 0;
        if (!__builtin_mul_overflow(whole, part, &product)) return product / of;
        return static_cast<i64>(i128{whole} * part / of);
    }
    static i64 magnitude(i64 lots) { return lots < 0 ? -lots : lots; }
};

// Pre-trade limits (0 is none) and the counters that they are held against. Counters exist while a limit is set.
struct Limits {
    static constexpr i64 kDayNs = 86'400'000'000'000;
    static constexpr i64 kSecondNs = 1'000'000'000;

    i64 max_order_lots;
    i64 max_order_micros;
    i64 max_position_lots;
    i64 max_orders_per_day;
    i64 orders_per_second;
    i64 burst_orders;
    i64 max_orders_per_trade;
    i64 max_concentration_ppm;
    i64 day;
    i64 day_orders;
    i64 day_trades;
    i64 tat_ns;

    static i64 day_of(i64 now_ns) { return now_ns / kDayNs - (now_ns % kDayNs < 0 ? 1 : 0); }

    // Why one more order is too many; counts nothing.
    Code count_refusal(i64 now_ns) const {
        const bool today = day_of(now_ns) == day;
        const i64 orders = today ? day_orders : 0;
        const i64 trades = today ? day_trades : 0;
        if (max_orders_per_day != 0 && orders >= max_orders_per_day) return code::DAILY_ORDER_LIMIT;
        if (orders_per_second != 0 &&
            i128{tat_ns} - now_ns > i128{burst_orders - 1} * (kSecondNs / orders_per_second)) {
            return code::ORDER_RATE;
        }
        if (max_orders_per_trade != 0 && orders + 1 > i128{max_orders_per_trade} * (trades > 1 ? trades : 1)) {
            return code::ORDER_TO_TRADE_RATIO;
        }
        return code::OK;
    }
    void count_order(i64 now_ns) {
        roll(now_ns);
        ++day_orders;
        if (orders_per_second != 0) tat_ns = (tat_ns > now_ns ? tat_ns : now_ns) + kSecondNs / orders_per_second;
    }
    void count_trade(i64 now_ns) {
        roll(now_ns);
        ++day_trades;
    }

private:
    void roll(i64 now_ns) {
        if (day_of(now_ns) == day) return;
        day = day_of(now_ns);
        day_orders = day_trades = 0;
    }
};

// `reserved` is bound by live buys, `receivable` is the worth of live sells (both micros).
struct Account {
    u32 account;
    u32 flags;
    i64 cash;
    i64 reserved;
    i64 receivable;
    Handle orders;  // list of live orders, the highest id first
    Handle oldest;  // the last of them
    u32 live;       // their number
    u32 children;   // of these, those that wait for a parent
    u8 status;
    bool is_limited;  // `limits` are in force
    bool margin_called;
    u8 unused;
    Handle positions;  // list of all
    Handle latest_book;  // the book that it was asked about last, and its position there
    Handle latest_position;
    char name[32];
    Limits limits;
    i64 day_trades[4];  // business days of the latest ones, oldest first; 0: none

    // Whether its cash, and its positions, may go below zero.
    bool borrows() const { return (flags & (account_flag::UNLIMITED_CASH | account_flag::MARGIN)) != 0; }
    bool goes_short() const { return (flags & (account_flag::UNLIMITED_POSITIONS | account_flag::SHORT_SALES)) != 0; }
    bool is_on_margin() const { return (flags & account_flag::MARGIN) != 0; }
    bool has_day_trade_rule() const { return (flags & account_flag::DAY_TRADE_RULE) != 0; }
    // No rule but that of its funds looks at its orders.
    bool is_unruled() const {
        return status == account_status::ACTIVE && !is_limited &&
               (flags & (account_flag::MARGIN | account_flag::DAY_TRADE_RULE)) == 0;
    }
};

// The market-wide breaker: falls of the index at which everything halts, and the level reached on `day`.
struct Market {
    u32 levels[3];  // ppm of the previous close, 0: no such level
    u8 level;
    i64 pause_ns;
    i64 day;
    i64 until_ns;  // of a halt by level 1 or 2
    i128 base;     // the index at the previous close, and now; sums over all books' `indexed`
    i128 now;
    Throttle throttle;  // of all instruments together

    bool is_set() const { return (levels[0] | levels[1] | levels[2]) != 0; }
    u8 level_reached(i64 now_ns) const { return Limits::day_of(now_ns) == day ? level : u8{0}; }
    // Highest level that the index stands at, 0: at none.
    u8 level_now() const {
        for (u8 at = 3; at != 0; --at) {
            if (levels[at - 1] != 0 && (base - now) * kPpm >= base * levels[at - 1]) return at;
        }
        return 0;
    }
    // Bring the sums up to date with a book.
    void reindex(Book& book) {
        base -= i128{book.indexed.weight} * book.indexed.close;
        now -= i128{book.indexed.weight} * book.indexed.price;
        book.indexed = {0, 0, 0};
        if (!book.is_in_index()) return;
        book.indexed = {book.index_weight, book.close, book.last != 0 ? book.last : book.close};
        base += i128{book.indexed.weight} * book.indexed.close;
        now += i128{book.indexed.weight} * book.indexed.price;
    }
};

// Cancel on disconnect: the highest connection of a session that was opened, and the gateway that may say that it is
// gone; 0: it has said so.
struct Owner {
    u64 connection = 0;
    u16 gateway = 0;

    friend bool operator==(const Owner&, const Owner&) = default;
};

// What became of one number of a session: the seq at which it was executed, and what it stood for (`content.hpp`).
struct Outcome {
    u64 seq;
    u64 content;
};

// The outcome of number n stands at `ring[n & mask]`, for the latest `kRemembered` numbers. The ring is the state's, and
// grows with the session until it holds so many.
struct Session {
    static constexpr u32 kRemembered = 8192;
    static constexpr u32 kFirstRing = 16;
    u64 session_id;
    u64 last_no;
    Outcome* ring;
    u32 mask;  // of the ring's size, a power of two
    u32 unused;

    u64 kept() const { return last_no < kRemembered ? last_no : kRemembered; }
    bool is_full() const { return last_no > mask && mask + 1 < kRemembered; }
    // The next number was executed; there is room for it.
    void advance(u64 seq, u64 content) {
        ++last_no;
        ring[last_no & mask] = {seq, content};
    }
    // Of a number up to the last; nothing (0) if it is forgotten, or 0.
    Outcome outcome(u64 session_no) const {
        return last_no - session_no < kept() ? ring[session_no & mask] : Outcome{0, 0};
    }
};

}  // namespace lockstep
