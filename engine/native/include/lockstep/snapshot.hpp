// The canonical snapshot of `engine/snapshot_format.py`, written and read: same state, same bytes, whichever engine.
#pragma once

#include <algorithm>
#include <string_view>

#include "lockstep/engine.hpp"

namespace lockstep::snapshot {

inline constexpr char kMagic[8] = {'L', 'K', 'S', 'T', 'S', 'N', 'A', 'P'};
inline constexpr u32 kVersion = 1;

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

inline void put_session(Bytes& out, const Session& session) {
    put(out, session.session_id, session.last_no, session.kept);
    for (u64 age = session.kept; age-- > 0;) put(out, session.outcomes[(session.last_no - age) % Session::kRemembered]);
}

inline void put_orders(Bytes& out, const State& state, const Book& book) {
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        const Half& half = book.halves[side == side::BUY ? 0 : 1];
        for (Handle level = half.best; level != kNone; level = state.worse(half, side, level)) {
            for (Handle at = state.levels[level].head; at != kNone; at = state.links[at].next) {
                const Order& order = state.orders[at];
                put(out, order.order_id, order.client_order_id, order.session_id, state.accounts[order.account].account,
                    book.instrument, order.side, order.order_type, order.tif, order.price, order.quantity,
                    order.leaves);
            }
        }
    }
}

inline Bytes encode(const State& state) {
    const auto books = by_id(state.books, [](const Book& one) { return one.instrument; });
    const auto accounts = by_id(state.accounts, [](const Account& one) { return one.account; });
    const auto sessions = by_id(state.sessions, [](const Session& one) { return one.session_id; });
    auto positions = by_id(state.positions, [&](const Position& one) {
        return u64{state.accounts[one.account].account} << 32 | state.books[one.book].instrument;
    });
    std::erase_if(positions, [&](Handle at) { return state.positions[at].quantity == 0; });
    constexpr std::size_t kOrderBytes = 59;
    Bytes out;
    out.reserve(256 + state.by_order_id.size() * kOrderBytes + accounts.size() * 64 + sessions.size() * 2080);
    put(out, kMagic, kVersion, state.last_seq, state.last_timestamp_ns, u64{books.size()}, u64{accounts.size()},
        u64{positions.size()}, u64{sessions.size()}, u64{state.by_order_id.size()});
    for (const Handle at : books) {
        const Book& book = state.books[at];
        put(out, book.instrument, book.symbol, book.tick_micros, book.lot_units);
    }
    for (const Handle at : accounts) {
        const Account& account = state.accounts[at];
        put(out, account.account, account.flags, account.name, account.cash);
    }
    for (const Handle at : positions) {
        const Position& position = state.positions[at];
        put(out, state.accounts[position.account].account, state.books[position.book].instrument, position.quantity);
    }
    for (const Handle at : sessions) put_session(out, state.sessions[at]);
    for (const Handle at : books) put_orders(out, state, state.books[at]);
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

inline void take_instrument(Reader& reader, State& state) {
    const u32 id = reader.take<u32>();
    char symbol[32];
    reader.take_name(symbol);
    const i64 tick = reader.take<i64>();
    const i64 lot = reader.take<i64>();
    require(tick >= 1 && lot >= 1 && i128{tick} * lot <= kMaxUnitMicros, "snapshot has an instrument with a bad unit");
    require(state.find_book(id) == kNone, "snapshot defines an instrument twice");
    state.add_book(id, symbol, text_of(symbol), tick, lot);
}

inline void take_account(Reader& reader, State& state) {
    const u32 id = reader.take<u32>();
    const u32 flags = reader.take<u32>();
    char name[32];
    reader.take_name(name);
    require(state.find_account(id) == kNone, "snapshot defines an account twice");
    state.accounts[state.add_account(id, name, text_of(name), flags)].cash = reader.take<i64>();
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
    state.positions[state.position_of(account, book)].quantity = reader.take<i64>();
}

inline void take_session(Reader& reader, State& state) {
    const u64 id = reader.take<u64>();
    require(state.find_session(id) == kNone, "snapshot has a session twice");
    Session& session = state.add_session(id);
    session.last_no = reader.take<u64>();
    session.kept = reader.take<u32>();
    require(session.kept <= Session::kRemembered, "snapshot has a session with more than 256 outcomes");
    for (u64 age = session.kept; age-- > 0;) {
        session.outcomes[(session.last_no - age) % Session::kRemembered] = reader.take<u64>();
    }
}

inline void take_order(Reader& reader, State& state) {
    Order order = {};
    order.order_id = reader.take<u64>();
    order.client_order_id = reader.take<u64>();
    order.session_id = reader.take<u64>();
    order.account = known_account(state, reader.take<u32>());
    order.book = known_book(state, reader.take<u32>());
    order.side = reader.take<u8>();
    order.order_type = reader.take<u8>();
    order.tif = reader.take<u8>();
    order.price = reader.take<i64>();
    order.quantity = reader.take<i64>();
    order.leaves = reader.take<i64>();
    order.position = state.position_of(order.account, order.book);
    const bool good = (order.side == side::BUY || order.side == side::SELL) &&
                      orders::rests(order.order_type, order.tif) &&
                      orders::terms_refusal(order.order_type, order.price, order.quantity) == code::OK &&
                      order.leaves >= 1 && order.leaves <= order.quantity;
    require(good, "snapshot has an order that can't rest");
    require(state.find_order(order.order_id) == kNone, "snapshot has an order twice");
    require(state.find_client_order(order.account, order.client_order_id) == kNone, "snapshot has a client id twice");
    const Account& account = state.accounts[order.account];
    const i128 value = i128{order.price} * order.leaves * state.books[order.book].unit_micros;
    require(value + account.reserved <= kI64Max && value + account.receivable <= kI64Max,
            "snapshot has orders worth more than 64 bits");
    state.place(state.file(order));
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
    u64 counts[5];
    for (u64& count : counts) count = reader.take<u64>();
    void (*const takers[5])(Reader&, State&) = {take_instrument, take_account, take_position, take_session, take_order};
    for (int section = 0; section < 5; ++section) {
        for (u64 row = 0; row < counts[section]; ++row) takers[section](reader, state);
    }
    if (reader.rest() != 0) throw Error("snapshot has " + std::to_string(reader.rest()) + " bytes after its end");
    // The format is canonical, so what was understood must give the same bytes again.
    require(encode(state) == raw, "the snapshot is not in canonical form; fetch it again from another replica");
}

}  // namespace lockstep::snapshot
