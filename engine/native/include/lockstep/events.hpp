// Outcomes as EVENT records. One function per kind of event, so that what a kind carries is said in one place.
//
// Every event names the command that it answers. When the order concerned belongs to another session, that one stands
// in `maker_session_id`. Reports about an order echo the order; refusals echo what the command said.
#pragma once

#include "lockstep/content.hpp"
#include "lockstep/state.hpp"

namespace lockstep {

// A growing array of events. Its memory is kept from batch to batch by whoever owns it.
class EventBuffer {
public:
    EventBuffer() = default;
    EventBuffer(const EventBuffer&) = delete;
    EventBuffer& operator=(const EventBuffer&) = delete;
    ~EventBuffer() { std::free(events_); }

    const Event* data() const { return events_; }
    std::size_t size() const { return static_cast<std::size_t>(next_ - events_); }
    const Event* begin() const { return events_; }
    const Event* end() const { return next_; }
    void clear() { next_ = events_; }

    void reserve(std::size_t count) {
        if (count > static_cast<std::size_t>(full_ - events_)) enlarge(count);
    }
    [[gnu::always_inline]] Event& add() {
        if (next_ == full_) [[unlikely]]
            enlarge(2 * size() + 64);
        return *next_++;
    }

private:
    [[gnu::noinline]] void enlarge(std::size_t count) {
        const std::size_t size_now = size();
        void* larger = std::realloc(events_, count * sizeof(Event));
        if (larger == nullptr) throw std::bad_alloc();
        events_ = static_cast<Event*>(larger);
        next_ = events_ + size_now;
        full_ = events_ + count;
    }

    Event* events_ = nullptr;
    Event* next_ = nullptr;
    Event* full_ = nullptr;
};

// One command on its way through the engine: its stamp, and where its events go.
struct Step {
    const Command& command;
    u64 seq;
    i64 now_ns;
    EventBuffer& out;
    u32 index = 0;  // of the next event
    u32 noted = 0;  // of its events, how many a banded instrument has looked through for trades

    const CommandHead& head() const { return command.head; }
};

// Whom an event answers: session and its number, both 0 if nobody.
struct Asker {
    u64 session_id;
    u64 session_no;
};
inline constexpr Asker kNobody = {0, 0};
inline Asker asker_of(const Step& step) {
    return {step.head().session_id, step.head().session_no};
}

namespace report {

struct Previous {
    u64 session_id;
    i64 price;
    i64 leaves;
};

// The numbers that clients know an order's instrument and account by.
struct Numbers {
    u32 instrument;
    u32 account;
};
inline Numbers numbers_of(const State& state, const Order& order) {
    return {state.books[order.book].instrument, state.accounts[order.account].account};
}

// ACCEPTED, REPLACED and TRIGGERED hold the order's terms (OrderEvent) where a TRADE speaks of its maker. Written as an
// Event, as that is one store of each word.
[[gnu::always_inline]] inline void reported(Step& step, const Numbers& numbers, const Order& order, u8 kind,
                                            u64 session_no, i64 lots, u32 flags, const Previous& before) {
    // A market order is unseen where it rests, in an auction; elsewhere there is nothing to be seen of it.
    const bool rests = (flags & event_flag::BOOKS) != 0;
    if (order.is_unseen() && (rests || !order.is_market())) flags |= event_flag::UNSEEN;
    step.out.add() = {
        .seq = step.seq,
        .index = step.index++,
        .kind = kind,
        .side = order.side,
        .code = 0,
        .instrument = numbers.instrument,
        .account = numbers.account,
        .session_id = order.session_id,
        .session_no = session_no,
        .order_id = order.order_id,
        .client_order_id = order.client_order_id,
        .price_ticks = order.price,
        .quantity_lots = lots,
        .leaves_lots = lots,
        .maker_order_id = 0,
        .maker_client_order_id = static_cast<u64>(order.stop),
        .maker_session_id = before.session_id != order.session_id ? before.session_id : 0,
        .maker_account = u32{order.order_type} | u32{order.tif} << 8 | u32{order.stp} << 16 | u32{order.flags} << 24,
        .flags = flags,
        .maker_leaves_lots = order.display,
        .timestamp_ns = step.now_ns,
        .taker_fee_micros = 0,
        .maker_fee_micros = order.expire_ns,
        .original_seq = static_cast<u64>(before.price),  // there: previous_price_ticks
        .previous_leaves_lots = before.leaves,
    };
}

inline void accepted(Step& step, const State& state, const Order& order, u32 flags) {
    reported(step, numbers_of(state, order), order, event_kind::ACCEPTED, step.head().session_no, order.quantity, flags,
         {order.session_id, 0, 0});
}

inline void replaced(Step& step, const State& state, const Order& order, u32 flags, const Previous& before) {
    reported(step, numbers_of(state, order), order, event_kind::REPLACED, step.head().session_no, order.leaves, flags,
             before);
}

// A stop order was set off at `stop`, or the parent of an order has ended (0), and it goes to the market.
inline void triggered(Step& step, const State& state, const Order& order, u32 flags, i64 stop) {
    reported(step, numbers_of(state, order), order, event_kind::TRIGGERED, 0, order.leaves, flags,
             {order.session_id, stop, 0});
}

// One match; both orders as they are after it.
struct Deal {
    i64 lots;
    i64 price;
    i64 taker_fee;
    i64 maker_fee;
    u32 flags;
};

inline void trade(Step& step, const State& state, u64 session_no, const Order& taker, const Order& maker,
                  const Deal& deal) {
    step.out.add() = {
        .seq = step.seq,
        .index = step.index++,
        .kind = event_kind::TRADE,
        .side = taker.side,
        .code = 0,
        .instrument = state.books[taker.book].instrument,
        .account = state.accounts[taker.account].account,
        .session_id = taker.session_id,
        .session_no = session_no,
        .order_id = taker.order_id,
        .client_order_id = taker.client_order_id,
        .price_ticks = deal.price,
        .quantity_lots = deal.lots,
        .leaves_lots = taker.leaves,
        .maker_order_id = maker.order_id,
        .maker_client_order_id = maker.client_order_id,
        .maker_session_id = maker.session_id,
        .maker_account = state.accounts[maker.account].account,
        .flags = deal.flags,
        .maker_leaves_lots = maker.leaves,
        .timestamp_ns = step.now_ns,
        .taker_fee_micros = deal.taker_fee,
        .maker_fee_micros = deal.maker_fee,
        .original_seq = 0,
        .previous_leaves_lots = 0,
    };
}

// CANCELED: `lots` of the order were taken off and nothing of it is open any more; `code` says why. With `leaves` > 0
// it is REDUCED: the order lives on with so many.
[[gnu::always_inline]] inline void taken_off(Step& step, const Numbers& numbers, const Asker& asker, const Order& order,
                                             i64 lots, Code code, i64 leaves = 0) {
    step.out.add() = {
        .seq = step.seq,
        .index = step.index++,
        .kind = leaves != 0 ? u8{event_kind::REDUCED} : u8{event_kind::CANCELED},
        .side = order.side,
        .code = code,
        .instrument = numbers.instrument,
        .account = numbers.account,
        .session_id = asker.session_id,
        .session_no = asker.session_no,
        .order_id = order.order_id,
        .client_order_id = order.client_order_id,
        .price_ticks = order.price,
        .quantity_lots = lots,
        .leaves_lots = leaves,
        .maker_order_id = 0,
        .maker_client_order_id = 0,
        .maker_session_id = order.session_id != asker.session_id ? order.session_id : 0,
        .maker_account = 0,
        .flags = 0,
        .maker_leaves_lots = 0,
        .timestamp_ns = step.now_ns,
        .taker_fee_micros = 0,
        .maker_fee_micros = 0,
        .original_seq = 0,
        .previous_leaves_lots = 0,
    };
}

inline void taken_off(Step& step, const State& state, const Asker& asker, const Order& order, i64 lots, Code code,
                      i64 leaves = 0) {
    taken_off(step, numbers_of(state, order), asker, order, lots, code, leaves);
}

// Kinds whose `order_id` is a session's.
inline bool names_a_session(u8 kind) {
    return kind == command_kind::MASS_CANCEL || kind == command_kind::SESSION_OPENED || kind == command_kind::SESSION_CLOSED;
}

// What refusals and DUPLICATE have in common: the command's own words.
inline Event& echo(Step& step, u8 kind, Code code) {
    const CommandHead& head = step.head();
    Event& event = step.out.add();
    event = {};
    event.seq = step.seq;
    event.index = step.index++;
    event.kind = kind;
    event.code = code;
    event.instrument = head.instrument;
    event.account = head.account;
    event.session_id = head.session_id;
    event.session_no = head.session_no;
    event.order_id = names_a_session(head.kind) ? 0 : head.order_id;
    event.client_order_id = head.client_order_id;
    event.timestamp_ns = step.now_ns;
    return event;
}

// The command had no effect. `kind` is REJECTED, CANCEL_REJECTED or REPLACE_REJECTED.
inline void refused(Step& step, u8 kind, Code code) {
    echo(step, kind, code);
}

// The session's number was executed before, at `outcome_seq` (0: forgotten).
inline void duplicate(Step& step, u64 outcome_seq) {
    echo(step, event_kind::DUPLICATE, code::OK).original_seq = outcome_seq;
}

// What an auction would give now; `imbalance` is demand - supply.
inline void indicative(Step& step, const Book& book, i64 price, i64 volume, i64 imbalance) {
    Event& event = step.out.add();
    event = {};
    event.seq = step.seq;
    event.index = step.index++;
    event.kind = event_kind::INDICATIVE;
    if (imbalance != 0) event.side = imbalance > 0 ? u8{side::BUY} : u8{side::SELL};
    event.instrument = book.instrument;
    event.price_ticks = price;
    event.quantity_lots = volume;
    event.leaves_lots = imbalance < 0 ? -imbalance : imbalance;
    event.timestamp_ns = step.now_ns;
}

// The end of a mass cancel: `count` orders went before it.
inline void mass_canceled(Step& step, u32 count) {
    Event& event = echo(step, event_kind::MASS_CANCELED, code::OK);
    event.side = step.head().side;
    event.quantity_lots = count;
}

// An administrative outcome; the caller fills in what the kind speaks of, the rest is 0.
inline DefinitionEvent definition(const Step& step, u8 kind, Code code) {
    const CommandHead& head = step.head();
    DefinitionEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = kind;
    event.code = code;
    event.instrument = head.instrument;
    event.account = head.account;
    event.session_id = head.session_id;
    event.session_no = head.session_no;
    event.flags = head.flags;
    event.timestamp_ns = step.now_ns;
    return event;
}

template <class Overlay>
void emit(Step& step, const Overlay& event) {
    static_assert(sizeof(Overlay) == sizeof(Event));
    std::memcpy(static_cast<void*>(&step.out.add()), &event, sizeof(Event));
    ++step.index;
}

// A SET command other than SET_PHASE was obeyed.
inline void setting(Step& step, u8 kind, i64 value = 0, i64 previous = 0) {
    const CommandHead& head = step.head();
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = kind;
    event.instrument = head.instrument;
    event.account = head.account;
    event.session_id = head.session_id;
    event.session_no = head.session_no;
    event.value = value;
    event.previous_value = previous;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// Which gateway has the session in `order_id` now, and had it before; its highest connection.
inline void session_opened(Step& step, u16 gateway, u16 previous, u64 connection) {
    const CommandHead& head = step.head();
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = event_kind::SESSION_OPENED;
    event.instrument = head.instrument;
    event.account = head.account;
    event.session_id = head.session_id;
    event.session_no = head.session_no;
    event.value = gateway;
    event.previous_value = previous;
    event.of_session = head.order_id;
    event.connection = connection;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// What came to pass without anybody's asking: MARKET_HALTED, MARGIN_CALLED.
inline void notice(Step& step, u8 kind, u32 account, i64 value, i64 previous, i64 until_ns) {
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = kind;
    event.account = account;
    event.value = value;
    event.previous_value = previous;
    event.until_ns = until_ns;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// The instrument is in another phase, or in the same with new terms.
inline void phase_changed(Step& step, const Asker& asker, const Book& book, u8 previous) {
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = event_kind::PHASE_CHANGED;
    event.instrument = book.instrument;
    event.session_id = asker.session_id;
    event.session_no = asker.session_no;
    event.value = book.phase;
    event.previous_value = previous;
    event.reference_price_ticks = book.reference;
    event.until_ns = book.until_ns;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// Between which prices the instrument trades now.
inline void bands_moved(Step& step, const Book& book, const Bands& bands) {
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = event_kind::BANDS_MOVED;
    event.instrument = book.instrument;
    event.value = bands.low;
    event.previous_value = bands.high;
    event.reference_price_ticks = bands.reference;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// Where its best prices stand within the bands.
inline void limit_state_changed(Step& step, const Book& book, const Bands& bands, u8 previous) {
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = event_kind::LIMIT_STATE_CHANGED;
    event.instrument = book.instrument;
    event.value = bands.state;
    event.previous_value = previous;
    event.reference_price_ticks = bands.reference;
    event.until_ns = bands.until_ns;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// The instrument has fallen to this price, so that short sales are restricted.
inline void short_sales_restricted(Step& step, const Book& book, i64 price) {
    SettingEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = event_kind::SHORT_SALES_RESTRICTED;
    event.instrument = book.instrument;
    event.value = 1;
    event.reference_price_ticks = price;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

// The sequencer's own word in the stream, passed on.
inline void control(Step& step, u8 kind) {
    const ControlTerms& said = step.command.control;
    ControlEvent event = {};
    event.seq = step.seq;
    event.index = step.index;
    event.kind = kind;
    event.epoch = said.epoch;
    event.in_sync = said.in_sync;
    event.primary = said.primary;
    event.member = said.member;
    event.sequencer = said.sequencer;
    event.cause = said.cause;
    event.timestamp_ns = step.now_ns;
    emit(step, event);
}

}  // namespace report
}  // namespace lockstep
