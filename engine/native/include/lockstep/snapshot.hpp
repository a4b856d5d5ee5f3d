// The canonical snapshot of `engine/snapshot_format.py`, written and read: same state, same bytes, whichever engine.
#pragma once

#include <algorithm>
#include <string_view>

#include "lockstep/engine.hpp"

namespace lockstep::snapshot {

inline constexpr char kMagic[8] = {'L', 'K', 'S', 'T', 'S', 'N', 'A', 'P'};
inline constexpr u32 kVersion = 10;

// The bytes are not a snapshot that this version can restore.
class Error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Bytes = std::string;

template <class... Fields>
void put(Bytes& out, const Fields&... fields) {
    static_assert((std::is_trivially_copyable_v<Fields> && ...));
    (out.append(reinterpret_cast<const char*>(&fields), sizeof fields), ...);
}

// Handles of a pool's records in order of their ids.
template <class T, unsigned Bits, class IdOf>
std::vector<Handle> by_id(const Pool<T, Bits>& pool, IdOf&& id_of) {
    std::vector<Handle> handles(pool.end() - 1);
    for (std::size_t at = 0; at < handles.size(); ++at) handles[at] = static_cast<Handle>(at + 1);
    std::sort(handles.begin(), handles.end(), [&](Handle a, Handle b) { return id_of(pool[a]) < id_of(pool[b]); });
    return handles;
}

inline std::vector<Handle> in_order(const std::map<u32, Handle>& by_number) {
    std::vector<Handle> handles;
    handles.reserve(by_number.size());
    for (const auto& [_, at] : by_number) handles.push_back(at);
    return handles;
}

inline void put_session(Bytes& out, const Session& session) {
    put(out, session.session_id, session.last_no, static_cast<u32>(session.kept()));
    for (u64 age = session.kept(); age-- > 0;) {
        const Outcome& outcome = session.ring[(session.last_no - age) & session.mask];
        put(out, outcome.seq, outcome.content);
    }
}

inline void put_order(Bytes& out, const State& state, Handle at) {
    const Order& order = state.orders[at];
    put(out, order.order_id, order.client_order_id, order.session_id, state.accounts[order.account].account,
        state.books[order.book].instrument, order.side, order.order_type, order.tif, order.price, order.held,
        order.quantity, order.leaves, order.place, order.stp, order.flags, i64{order.display}, i64{order.shown},
        order.expire_ns, order.stop, order.trail, order.lot_micros);
    if (order.place != kWaitsForParent) return put(out, u64{0}, i64{0});
    const Child& child = state.children.at(order.order_id);
    put(out, child.parent_id, state.traded_by_parent(child));
}

inline void put_orders(Bytes& out, const State& state, Handle number) {
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        const Half& half = state.books[number].halves[side - 1];
        for (Handle level = half.best; level != kNone; level = state.levels[level].worse) {
            for (const Queue& queue : state.levels[level].queues) {
                for (Handle at = queue.head; at != kNone; at = state.links[at].next) put_order(out, state, at);
            }
        }
    }
    const Waiting& waiting = *state.waiting[number];
    for (const Waiting::ByStop& stops : waiting.stops) {
        for (const auto& [_, at] : stops) {
            if (state.orders[at].place == kWaitsForStop) put_order(out, state, at);
        }
    }
    for (const auto& [_, at] : waiting.for_close) put_order(out, state, at);
    for (const auto& [_, at] : waiting.for_parent) put_order(out, state, at);
}

inline void put_instrument(Bytes& out, const Book& book) {
    put(out, book.instrument, book.symbol, book.tick_micros, book.lot_units, book.phase, book.next_phase, book.until_ns,
        book.reference, book.last, book.maker_fee_ppm, book.taker_fee_ppm, book.band_ppm, book.collar_ppm,
        book.breaker_ppm, book.breaker_window_ns, book.breaker_pause_ns, book.breaker_phase, book.initial_ppm,
        book.maintenance_ppm, book.index_weight, book.close, book.throttle.orders_per_second,
        book.throttle.burst_orders, book.throttle.tat_ns);
}

template <bool kHighest>
void put_stood(Bytes& out, u32 instrument, const Extremes<kHighest>& extremes) {
    for (const Stood& one : extremes) put(out, instrument, u8{kHighest ? 0 : 1}, one.price, one.until_ns);
}

inline void put_bands(Bytes& out, const Book& book) {
    const Bands& bands = *book.bands;
    const BandRules& terms = bands.terms;
    put(out, book.instrument, terms.high_ppm, terms.middle_ppm, terms.low_ppm, terms.step_ppm, terms.high_above,
        terms.low_below, terms.low_most, terms.window_ns, terms.limit_ns, terms.pause_ns, bands.factor, bands.reference,
        bands.since_ns, bands.low, bands.high, bands.state, bands.until_ns);
}

inline void put_account(Bytes& out, const Account& account) {
    const Limits& limits = account.limits;
    put(out, account.account, account.flags, account.name, account.cash, account.status, limits.max_order_lots,
        limits.max_order_micros, limits.max_position_lots, limits.max_orders_per_day, limits.orders_per_second,
        limits.burst_orders, limits.max_orders_per_trade, limits.max_concentration_ppm, limits.day,
        limits.day_orders, limits.day_trades, limits.tat_ns, account.day_trades, u8{account.margin_called});
}

inline void put_restraints(Bytes& out, const State& state, const std::vector<Handle>& books) {
    for (const Handle at : books) {
        const Book& book = state.books[at];
        for (const auto& [account, terms] : book.restraints->of) {
            put(out, book.instrument, account, terms.bars, terms.max_share_ppm, terms.outstanding_lots,
                terms.located_lots);
        }
    }
    for (const Handle at : books) {
        const Restraints& restraints = *state.books[at].restraints;
        if (!restraints.are_shorts_watched()) continue;
        put(out, state.books[at].instrument, restraints.fall_ppm, restraints.since_day);
    }
}

inline Bytes encode(const State& state) {
    const auto books = in_order(state.books_by_id);
    const auto accounts = in_order(state.accounts_by_id);
    const auto sessions = by_id(state.sessions, [](const Session& one) { return one.session_id; });
    auto positions = by_id(state.positions, [&](const Position& one) {
        return u64{state.accounts[one.account].account} << 32 | state.books[one.book].instrument;
    });
    std::erase_if(positions, [&](Handle at) {
        const Position& one = state.positions[at];
        return (one.quantity | one.cost | one.realised | one.opened) == 0;
    });
    constexpr std::size_t kOrderBytes = 134;
    constexpr std::size_t kStoodBytes = 21;
    std::size_t session_bytes = 0;
    for (const Handle at : sessions) session_bytes += 20 + state.sessions[at].kept() * sizeof(Outcome);
    std::size_t stood = 0;
    for (const Handle at : books) stood += state.waiting[at]->span.highest.size() + state.waiting[at]->span.lowest.size();
    u64 banded = 0;
    u64 sales = 0;
    u64 with_lots = 0;
    u64 restrictions = 0;
    u64 shorts = 0;
    for (const Handle at : books) {
        banded += state.books[at].is_banded();
        sales += state.books[at].bands->window.size();
        with_lots += state.books[at].round_lots != 0;
        restrictions += state.books[at].restraints->of.size();
        shorts += state.books[at].restraints->are_shorts_watched();
    }
    Bytes out;
    out.reserve(256 + banded * 128 + sales * 36 + stood * kStoodBytes + state.by_order_id.size() * kOrderBytes + accounts.size() * 192 + session_bytes);
    const Market& market = state.market;
    put(out, kMagic, kVersion, state.last_seq, state.last_timestamp_ns, state.fees, market.levels, market.pause_ns,
        market.day, market.level, market.until_ns, market.throttle.orders_per_second, market.throttle.burst_orders,
        market.throttle.tat_ns, u64{books.size()}, u64{accounts.size()}, u64{positions.size()}, u64{sessions.size()},
        u64{state.owners.size()}, u64{state.by_order_id.size()}, u64{stood}, banded, sales, with_lots,
        restrictions, shorts);
    for (const Handle at : books) put_instrument(out, state.books[at]);
    for (const Handle at : accounts) put_account(out, state.accounts[at]);
    for (const Handle at : positions) {
        const Position& one = state.positions[at];
        put(out, state.accounts[one.account].account, state.books[one.book].instrument, one.quantity, one.cost,
            one.realised, one.opened);
    }
    for (const Handle at : sessions) put_session(out, state.sessions[at]);
    for (const auto& [session_id, owner] : state.owners) put(out, session_id, owner.connection, owner.gateway);
    for (const Handle at : books) put_orders(out, state, at);
    for (const Handle at : books) {
        put_stood(out, state.books[at].instrument, state.waiting[at]->span.highest);
        put_stood(out, state.books[at].instrument, state.waiting[at]->span.lowest);
    }
    for (const Handle at : books) {
        if (state.books[at].is_banded()) put_bands(out, state.books[at]);
    }
    for (const Handle at : books) {
        for (const Sales& one : state.books[at].bands->window) {
            put(out, state.books[at].instrument, one.first_ns, one.count, one.ticks);
        }
    }
    for (const Handle at : books) {
        const Book& book = state.books[at];
        if (book.round_lots != 0) put(out, book.instrument, book.round_lots, book.odd_lots, book.lot_display);
    }
    put_restraints(out, state, books);
    return out;
}

// Walks the bytes; running out of them is an Error.
class Reader {
public:
    explicit Reader(std::string_view raw) : raw_(raw) {}

    template <class T>
    T take() {
        T value;
        need(sizeof value);
        std::memcpy(&value, raw_.data() + at_, sizeof value);
        at_ += sizeof value;
        return value;
    }
    template <class... Fields>
    void take_into(Fields&... fields) {
        ((fields = take<Fields>()), ...);
    }
    void take_name(char (&name)[32]) {
        need(sizeof name);
        std::memcpy(name, raw_.data() + at_, sizeof name);
        at_ += sizeof name;
    }
    std::size_t rest() const { return raw_.size() - at_; }

private:
    void need(std::size_t size) const {
        if (rest() < size) {
            throw Error("snapshot ends at byte " + std::to_string(raw_.size()) + ", " + std::to_string(at_ + size) +
                        " expected; it is cut short");
        }
    }

    std::string_view raw_;
    std::size_t at_ = 0;
};

inline void require(bool condition, const char* message) {
    if (!condition) throw Error(message);
}

inline std::string text_of(const char (&name)[32]) {
    std::size_t length = sizeof name;
    while (length != 0 && name[length - 1] == '\0') --length;
    return std::string(name, length);
}

inline void take_throttle(Reader& reader, Throttle& throttle) {
    reader.take_into(throttle.orders_per_second, throttle.burst_orders, throttle.tat_ns);
    require(settings::within(throttle.orders_per_second, 0, Throttle::kSecondNs) &&
                settings::within(throttle.burst_orders, 0, Throttle::kSecondNs),
            "snapshot has a throttle out of range");
}

inline void take_instrument(Reader& reader, State& state) {
    const u32 id = reader.take<u32>();
    char symbol[32];
    reader.take_name(symbol);
    const i64 tick = reader.take<i64>();
    const i64 lot = reader.take<i64>();
    require(tick >= 1 && lot >= 1 && i128{tick} * lot <= kMaxUnitMicros, "snapshot has an instrument with a bad unit");
    require(state.find_book(id) == kNone, "snapshot defines an instrument twice");
    Book& book = state.books[state.add_book(id, symbol, text_of(symbol), tick, lot)];
    reader.take_into(book.phase, book.next_phase, book.until_ns, book.reference, book.last, book.maker_fee_ppm,
                     book.taker_fee_ppm, book.band_ppm, book.collar_ppm, book.breaker_ppm, book.breaker_window_ns,
                     book.breaker_pause_ns, book.breaker_phase, book.initial_ppm, book.maintenance_ppm,
                     book.index_weight, book.close);
    take_throttle(reader, book.throttle);
    state.rethrottle(book);
    book.rerule();
    book.set_fees(book.maker_fee_ppm, book.taker_fee_ppm);
    require(book.fee_ppm <= settings::kMaxFeePpm && book.last >= 0 && book.last <= kMaxPriceTicks &&
                book.reference >= 0 && book.reference <= kMaxPriceTicks,
            "snapshot has an instrument with fees or prices out of range");
    require(settings::within(book.maker_fee_ppm, -i64{book.taker_fee_ppm}, settings::kMaxFeePpm) &&
                book.initial_ppm <= settings::kMaxMarginPpm && book.maintenance_ppm <= settings::kMaxMarginPpm &&
                settings::within(book.index_weight, 0, settings::kMaxIndexWeight) &&
                settings::within(book.close, 0, kMaxPriceTicks),
            "snapshot has an instrument with a rebate, margin or index out of range");
    state.market.reindex(book);
}

inline void take_account(Reader& reader, State& state) {
    const u32 id = reader.take<u32>();
    const u32 flags = reader.take<u32>();
    char name[32];
    reader.take_name(name);
    require(state.find_account(id) == kNone, "snapshot defines an account twice");
    Account& account = state.accounts[state.add_account(id, name, text_of(name), flags)];
    Limits& limits = account.limits;
    reader.take_into(account.cash, account.status, limits.max_order_lots, limits.max_order_micros,
                     limits.max_position_lots, limits.max_orders_per_day, limits.orders_per_second, limits.burst_orders,
                     limits.max_orders_per_trade, limits.max_concentration_ppm, limits.day, limits.day_orders,
                     limits.day_trades, limits.tat_ns);
    for (i64& day : account.day_trades) reader.take_into(day);
    account.margin_called = reader.take<u8>() != 0;
    account.is_limited =
        (limits.max_order_lots | limits.max_order_micros | limits.max_position_lots | limits.max_orders_per_day |
         limits.orders_per_second | limits.burst_orders | limits.max_orders_per_trade |
         limits.max_concentration_ppm) != 0;
}

inline Handle known_account(const State& state, u32 id) {
    const Handle at = state.find_account(id);
    if (at == kNone) throw Error("snapshot row names account " + std::to_string(id) + ", which it does not have");
    return at;
}

inline Handle known_book(const State& state, u32 id) {
    const Handle at = state.find_book(id);
    if (at == kNone) throw Error("snapshot row names instrument " + std::to_string(id) + ", which it does not have");
    return at;
}

inline void take_position(Reader& reader, State& state) {
    const Handle account = known_account(state, reader.take<u32>());
    const Handle book = known_book(state, reader.take<u32>());
    Position& position = state.positions[state.position_of(account, book)];
    reader.take_into(position.quantity, position.cost, position.realised, position.opened);
}

inline void take_session(Reader& reader, State& state) {
    const u64 id = reader.take<u64>();
    require(state.find_session(id) == kNone, "snapshot has a session twice");
    Session& session = state.add_session(id);
    const u64 last_no = reader.take<u64>();
    require(last_no != 0, "snapshot has a session without a number");
    state.widen(session, last_no);
    session.last_no = last_no;
    require(reader.take<u32>() == session.kept(), "snapshot has a session with another number of outcomes than it must");
    for (u64 age = session.kept(); age-- > 0;) {
        Outcome& outcome = session.ring[(last_no - age) & session.mask];
        reader.take_into(outcome.seq, outcome.content);
    }
}

inline void take_owner(Reader& reader, State& state) {
    const u64 session_id = reader.take<u64>();
    Owner owner = {};
    reader.take_into(owner.connection, owner.gateway);
    require(!state.owners.contains(session_id), "snapshot has a session's gateway twice");
    state.set_owner(session_id, owner);
}

inline bool is_live_order(const Order& order) {
    const bool placed = order.place == kInBook || order.place == kWaitsForClose ? orders::is_price(order.held)
                        : order.place == kWaitsForStop                          ? orders::is_price(order.stop)
                        : order.place == kWaitsForParent ? orders::is_price(order.price != 0 ? order.price : order.stop)
                                                                                : false;
    if (order.is_oco() && ((order.place != kInBook && order.place != kWaitsForParent) || !orders::is_price(order.stop))) return false;
    return placed && (order.is_named() || order.is_market()) && (order.side == side::BUY || order.side == side::SELL) && order.price >= 0 &&
           order.price <= kMaxPriceTicks && orders::is_quantity(order.quantity) && order.leaves >= 1 &&
           order.leaves <= order.quantity && order.lot_micros >= 0 && order.display >= 0 && order.trail >= 0;
}

// The draft is an order that waits for its parent, which stands before it.
inline void take_child(State& state, u64 parent_id, i64 parent_lots) {
    const Order& order = state.draft();
    const Handle parent = parent_id != 0 ? state.find_order(parent_id) : kNone;
    if (parent_id != 0) {
        require(parent != kNone && state.orders[parent].account == order.account &&
                    state.orders[parent].book == order.book && state.orders[parent].place != kWaitsForParent &&
                    state.children_of(parent_id) < Child::kMost,
                "snapshot has an order that waits for one that can't be its parent");
    }
    require(parent_lots >= 0, "snapshot has an order whose parent has traded less than nothing");
    state.wait_for_parent(state.file(), parent, parent_lots);
}

inline void take_order(Reader& reader, State& state) {
    Order& order = state.draft();
    order = {};
    reader.take_into(order.order_id, order.client_order_id, order.session_id);
    order.account = known_account(state, reader.take<u32>());
    order.book = known_book(state, reader.take<u32>());
    i64 display = 0;
    i64 shown = 0;
    reader.take_into(order.side, order.order_type, order.tif, order.price, order.held, order.quantity, order.leaves,
                     order.place, order.stp, order.flags, display, shown, order.expire_ns, order.stop, order.trail,
                     order.lot_micros);
    const u64 parent_id = reader.take<u64>();
    const i64 parent_lots = reader.take<i64>();
    // Beyond 31 bits, they are not canonical, which the whole snapshot's bytes will say.
    order.display = static_cast<i32>(display);
    order.position = state.position_of(order.account, order.book);
    require(is_live_order(order), "snapshot has an order that can't be live");
    require(state.find_order(order.order_id) == kNone, "snapshot has an order twice");
    require(state.find_client_order(order.account, order.client_order_id) == kNone, "snapshot has a client id twice");
    const Account& account = state.accounts[order.account];
    const i128 value = i128{order.lot_micros} * order.leaves;
    const bool binds = order.place != kWaitsForParent;
    require(!binds || (value + account.reserved <= kI64Max && value + account.receivable <= kI64Max),
            "snapshot has orders worth more than 64 bits");
    const Place where = static_cast<Place>(order.place);
    if (where == kWaitsForParent) return take_child(state, parent_id, parent_lots);
    const Handle at = state.file();
    if (where == kInBook) {
        state.place(at);
        state.orders[at].shown = static_cast<i32>(shown);
        if (state.orders[at].is_oco()) state.join_stops(at);
    } else {
        state.wait(at, where);
    }
}

template <bool kHighest>
void take_stood(Extremes<kHighest>& extremes, const Stood& row) {
    extremes.restore(row);
    require(extremes.size() <= Extremes<kHighest>::kMost, "snapshot has a breaker's span of more prices than it may hold");
}

inline void take_stood_price(Reader& reader, State& state) {
    Span& span = state.waiting[known_book(state, reader.take<u32>())]->span;
    const u8 queue = reader.take<u8>();
    Stood row = {};
    reader.take_into(row.price, row.until_ns);
    require(queue <= 1, "snapshot has a price in a queue that is neither of the highest nor of the lowest");
    require(orders::is_price(row.price), "snapshot has a breaker's span with a price out of range");
    queue == 0 ? take_stood(span.highest, row) : take_stood(span.lowest, row);
}

inline void take_bands(Reader& reader, State& state) {
    const Handle at = known_book(state, reader.take<u32>());
    Book& book = state.books[at];
    require(!book.is_banded(), "snapshot has the bands of an instrument twice");
    Bands& bands = *book.bands;
    BandRules& terms = bands.terms;
    reader.take_into(terms.high_ppm, terms.middle_ppm, terms.low_ppm, terms.step_ppm, terms.high_above, terms.low_below,
                     terms.low_most, terms.window_ns, terms.limit_ns, terms.pause_ns, bands.factor, bands.reference,
                     bands.since_ns, bands.low, bands.high, bands.state, bands.until_ns);
    for (const u32 ppm : {terms.high_ppm, terms.middle_ppm, terms.low_ppm, terms.step_ppm}) {
        require(settings::within(ppm, 1, settings::kMaxWidthPpm), "snapshot has bands with a rate out of range");
    }
    for (const i64 time : {terms.window_ns, terms.limit_ns, terms.pause_ns}) {
        require(settings::within(time, 1, settings::kMaxDurationNs), "snapshot has bands with a time out of range");
    }
    for (const i64 price : {terms.high_above, terms.low_below, terms.low_most, bands.reference, bands.low, bands.high}) {
        require(settings::within(price, 0, kMaxPriceTicks), "snapshot has bands with a price out of range");
    }
    require(settings::within(bands.factor, 1, 2) && bands.state <= limit_state::STRADDLE,
            "snapshot has bands with a width or state that there is not");
    book.rerule();
    state.watch(at);
}

inline void take_sales(Reader& reader, State& state) {
    const Handle at = known_book(state, reader.take<u32>());
    Window& window = state.books[at].bands->window;
    Sales row = {};
    reader.take_into(row.first_ns, row.count, row.ticks);
    require(state.books[at].is_banded() && row.count != 0, "snapshot has trades of an instrument without bands, or none");
    require(row.ticks >= row.count && row.ticks <= u128{row.count} * u128{kMaxPriceTicks},
            "snapshot has trades with a price out of range");
    window.restore(row);
    require(window.size() <= Window::kMost, "snapshot has more trades in a window of bands than it may hold");
}

inline void take_lots(Reader& reader, State& state) {
    Book& book = state.books[known_book(state, reader.take<u32>())];
    reader.take_into(book.round_lots, book.odd_lots, book.lot_display);
    require(settings::within(book.round_lots, 1, kMaxQuantityLots) && book.odd_lots <= odd_lots::REFUSE &&
                book.lot_display <= odd_lot_display::OUT,
            "snapshot has a round lot that there is not");
    book.rerule();
}

inline void take_restriction(Reader& reader, State& state) {
    Book& book = state.books[known_book(state, reader.take<u32>())];
    const u32 account = reader.take<u32>();
    Restriction terms = {};
    reader.take_into(terms.bars, terms.max_share_ppm, terms.outstanding_lots, terms.located_lots);
    const bool of_one = account != Restraints::kEverybody;
    if (of_one) known_account(state, account);
    require(!terms.is_none() && settings::are_restrictions(terms, of_one),
            "snapshot has restrictions that there are not");
    book.restraints->of[account] = terms;
    book.rerule();
}

inline void take_short_sales(Reader& reader, State& state) {
    Book& book = state.books[known_book(state, reader.take<u32>())];
    reader.take_into(book.restraints->fall_ppm, book.restraints->since_day);
    require(book.restraints->fall_ppm <= kPpm && book.restraints->since_day >= 0,
            "snapshot has short sales with a fall or day that there is not");
    book.rerule();
}

// Bring a new engine into the state of a snapshot.
inline void restore(Engine& engine, std::string_view raw) {
    State& state = engine.state();
    Reader reader(raw);
    char magic[8];
    if (reader.rest() < sizeof magic) throw Error("not an engine snapshot: it does not start with LKSTSNAP");
    for (char& letter : magic) letter = reader.take<char>();
    require(std::memcmp(magic, kMagic, sizeof magic) == 0, "not an engine snapshot: it does not start with LKSTSNAP");
    const u32 version = reader.take<u32>();
    if (version != kVersion) {
        throw Error("snapshot has version " + std::to_string(version) + ", this program reads " +
                    std::to_string(kVersion) + "; use the one that wrote it");
    }
    state.last_seq = reader.take<u64>();
    state.last_timestamp_ns = reader.take<i64>();
    state.fees = reader.take<u128>();
    Market& market = state.market;
    for (u32& level : market.levels) level = reader.take<u32>();
    reader.take_into(market.pause_ns, market.day, market.level, market.until_ns);
    take_throttle(reader, market.throttle);
    u64 counts[12];
    for (u64& count : counts) count = reader.take<u64>();
    void (*const takers[])(Reader&, State&) = {take_instrument, take_account,     take_position,
                                               take_session,    take_owner,       take_order,
                                               take_stood_price, take_bands,      take_sales,
                                               take_lots,        take_restriction, take_short_sales};
    for (int section = 0; section < 12; ++section) {
        for (u64 row = 0; row < counts[section]; ++row) takers[section](reader, state);
    }
    state.sort_account_orders();
    if (reader.rest() != 0) throw Error("snapshot has " + std::to_string(reader.rest()) + " bytes after its end");
    // The format is canonical, so what was understood must give the same bytes again.
    require(encode(state) == raw, "the snapshot is not in canonical form; fetch it again from another replica");
}

}  // namespace lockstep::snapshot
