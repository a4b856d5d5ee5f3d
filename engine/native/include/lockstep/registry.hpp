// What was defined, and who is there: instruments, accounts with their positions, sessions, each under its number.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lockstep/entities.hpp"
#include "lockstep/id_map.hpp"

namespace lockstep {

// For how many of each there is memory before the first command, with its pages touched. Everything grows beyond it, and
// nothing ever moves but entries of id maps; but what grows in the middle of a flow is paid by the commands that cause it:
// a call of the system for each further step of a pool (16 384 orders, 4 096 levels), the first touch of each new page,
// and id maps that double, whose entries move over with the insertions after that. So give the most that will be there at
// once. An order costs about 200 bytes.
struct Sizes {
    std::size_t orders = 16384;     // live at once: resting or waiting, in all books
    std::size_t levels = 4096;      // prices at which orders rest, in all books
    std::size_t accounts = 256;     // also positions: pairs of account and instrument that ever traded
    std::size_t instruments = 16;   // of their id map only
    std::size_t sessions = 16;      // of their id map only
};

class Registry {
public:
    explicit Registry(const Sizes& sizes)
        : account_numbers(sizes.accounts),
          instrument_numbers(sizes.instruments),
          session_ids(sizes.sessions),
          position_ids(sizes.accounts) {
        accounts.reserve(sizes.accounts);
        positions.reserve(sizes.accounts);
    }

    Pool<Account, 8> accounts;
    Pool<Position, 10> positions;
    Pool<Book, 4> books;
    Pool<Session, 4> sessions;

    NumberMap account_numbers;
    NumberMap instrument_numbers;
    IdMap session_ids;
    IdMap position_ids;
    std::map<u32, Handle> accounts_by_id;
    std::map<u32, Handle> books_by_id;
    std::unordered_map<std::string, Handle> account_names;
    std::unordered_map<std::string, Handle> symbols;

    // By the session's handle: what its `ring` points to.
    std::vector<std::unique_ptr<Outcome[]>> rings;

    // By the book's handle.
    std::vector<std::unique_ptr<Waiting>> waiting;
    std::map<u32, Handle> margin_accounts;    // by id
    std::map<u64, Owner> owners;              // by session; see set_owner
    std::unordered_set<u64> closed_sessions;  // those of `owners` that no gateway has
    Market market = {};

    void set_owner(u64 session_id, Owner owner) {
        owners[session_id] = owner;
        if (owner.gateway == 0) {
            closed_sessions.insert(session_id);
        } else {
            closed_sessions.erase(session_id);
        }
    }
    // Its orders were canceled because its client was gone, and no later connection of it has been opened.
    bool is_closed(u64 session_id) const { return !closed_sessions.empty() && closed_sessions.contains(session_id); }

    [[gnu::always_inline]] Handle find_account(u32 id) const {
        return account_numbers.find(id, [&](Handle at) { return accounts[at].account == id; });
    }
    [[gnu::always_inline]] Handle find_book(u32 id) const {
        return instrument_numbers.find(id, [&](Handle at) { return books[at].instrument == id; });
    }
    Handle find_session(u64 id) const {
        return session_ids.find(hash_id(id), [&](Handle at) { return sessions[at].session_id == id; });
    }
    // Most orders of an account are for the same instrument as the one before.
    [[gnu::always_inline]] Handle find_position(Handle account, Handle book) {
        Account& owner = accounts[account];
        if (owner.latest_book == book) [[likely]]
            return owner.latest_position;
        const Handle found = look_up_position(account, book);
        if (found != kNone) {
            owner.latest_book = book;
            owner.latest_position = found;
        }
        return found;
    }
    Handle look_up_position(Handle account, Handle book) const {
        return position_ids.find(hash_pair(account, book), [&](Handle at) {
            return positions[at].account == account && positions[at].book == book;
        });
    }
    Handle position_of(Handle account, Handle book) {
        const Handle known = find_position(account, book);
        return known != kNone ? known : add_position(account, book);
    }

    Handle add_account(u32 id, const char (&name)[32], std::string text, u32 flags) {
        const Handle at = accounts.take();
        Account& account = accounts[at];
        account = {};
        account.account = id;
        account.flags = flags;
        std::memcpy(account.name, name, sizeof account.name);
        account_numbers.insert(id, at);
        accounts_by_id.emplace(id, at);
        account_names.emplace(std::move(text), at);
        if (account.is_on_margin()) margin_accounts.emplace(id, at);
        return at;
    }
    Handle add_book(u32 id, const char (&symbol)[32], std::string text, i64 tick_micros, i64 lot_units) {
        const Handle at = books.take();
        Book& book = books[at];
        book = {};
        book.instrument = id;
        std::memcpy(book.symbol, symbol, sizeof book.symbol);
        book.tick_micros = tick_micros;
        book.lot_units = lot_units;
        book.unit_micros = tick_micros * lot_units;
        book.phase = phase::CONTINUOUS;
        book.ruled = market.throttle.is_set() ? u8{kThrottled} : u8{0};
        book.initial_ppm = kInitialMarginPpm;
        book.maintenance_ppm = kMaintenanceMarginPpm;
        waiting.resize(at + std::size_t{1});
        waiting[at] = std::make_unique<Waiting>();
        book.bands = &waiting[at]->bands;
        book.restraints = &waiting[at]->restraints;
        instrument_numbers.insert(id, at);
        books_by_id.emplace(id, at);
        symbols.emplace(std::move(text), at);
        return at;
    }
    Session& add_session(u64 id) {
        const Handle at = sessions.take();
        Session& session = sessions[at];
        session = {id, 0, nullptr, Session::kFirstRing - 1, 0};
        rings.resize(at + std::size_t{1});
        rings[at] = std::make_unique<Outcome[]>(Session::kFirstRing);
        session.ring = rings[at].get();
        session_ids.insert(hash_id(id), at);
        return session;
    }
    // Double a session's ring until it has room for so many numbers; what is in it stays.
    void widen(Session& session, u64 numbers) {
        u32 size = session.mask + 1;
        while (size < numbers && size < Session::kRemembered) size *= 2;
        auto wider = std::make_unique<Outcome[]>(size);
        for (u64 age = session.kept(); age-- > 0;) {
            const u64 number = session.last_no - age;
            wider[number & (size - 1)] = session.ring[number & session.mask];
        }
        session.ring = wider.get();
        session.mask = size - 1;
        rings[find_session(session.session_id)] = std::move(wider);
    }

    // Whether an order has to ask for a token there, after a throttle was set.
    void rethrottle(Book& book) const {
        const bool throttled = book.throttle.is_set() || market.throttle.is_set();
        book.ruled = static_cast<u8>((book.ruled & ~kThrottled) | (throttled ? kThrottled : 0));
    }

private:
    Handle add_position(Handle account, Handle book) {
        const Handle at = positions.take();
        positions[at] = {account, book, accounts[account].positions, 0, 0, 0, 0, 0, 0, 0};
        accounts[account].positions = at;
        position_ids.insert(hash_pair(account, book), at);
        return at;
    }
};

}  // namespace lockstep
