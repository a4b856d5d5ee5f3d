// `Engine`: stream continuity, the session check, and the dispatch of stamped commands to their handlers.
//
// Everything under `lockstep/` is a header without dependencies, so the core can be built into any C++20 program:
//
//     lockstep::Engine engine({.orders = 100'000});  // the most that will be live at once: see `Sizes`
//     lockstep::EventBuffer events;
//     engine.apply(commands, count, first_seq, timestamp_ns, events);
//     for (const lockstep::Event& event : events) ...
//
// `queries.hpp` says what stands in the books, `snapshot.hpp` writes and reads the state, `example.cpp` has all of it in
// one program; `docs/engine-alone.md` says the rest. One thread uses an engine.
#pragma once

#include "lockstep/admin.hpp"
#include "lockstep/content.hpp"
#include "lockstep/settings.hpp"

namespace lockstep {

class Engine {
public:
    explicit Engine(const Sizes& sizes = {}) : state_(sizes) {}

    State& state() { return state_; }
    const State& state() const { return state_; }

    // Apply one stamped batch: command i has seq `first_seq + i`. The events are added to `out`.
    //
    // Throws std::logic_error, with nothing changed, if `first_seq` is not the next or time went back.
    void apply(const Command* commands, std::size_t count, u64 first_seq, i64 timestamp_ns, EventBuffer& out) {
        if (first_seq != state_.last_seq + 1) throw std::logic_error("gap in the stream");
        if (timestamp_ns < state_.last_timestamp_ns) throw std::logic_error("time went back");
        if (count == 0) return;
        out.reserve(out.size() + count + count / 4);
        const bool far = are_slots_far();
        const bool ahead = is_beyond_caches();
        for (std::size_t at = 0; at < count; ++at) {
            if (far && at + kSlots < count) look_at_slots(commands[at + kSlots].head, first_seq + at + kSlots);
            if (ahead) look_at_orders(commands, at, count);
            Step step{commands[at], first_seq + at, timestamp_ns, out};
            admit(step);
        }
        state_.last_seq = first_seq + count - 1;
        state_.last_timestamp_ns = timestamp_ns;
    }

private:
    // The engine prefetches for later commands, in three steps, so that what they need from memory is there in time:
    // the slots of the id maps, then the order they name, then what that order points to. Hints only: a guess that is
    // wrong, or outdated when its command's turn comes, costs nothing but a wasted prefetch.
    static constexpr std::size_t kSlots = 12;
    static constexpr std::size_t kOrder = 8;
    static constexpr std::size_t kNeighbours = 4;
    // With fewer orders and books than these, all but the slots is near anyway, and looking costs more than it saves;
    // with smaller maps than that, the slots are, too.
    static constexpr std::size_t kManyOrders = 16384;
    static constexpr Handle kManyBooks = 256;
    static constexpr std::size_t kLargeMap = std::size_t{128} << 10;

    bool are_slots_far() const { return state_.by_order_id.bytes() > kLargeMap; }
    bool is_beyond_caches() const {
        return state_.by_order_id.size() >= kManyOrders || state_.books.end() > kManyBooks;
    }

    static u32 hash_of(const CommandHead& head) {
        return head.order_id != 0 ? hash_id(head.order_id) : hash_pair(head.account, head.client_order_id);
    }
    const IdMap& map_of(const CommandHead& head) const {
        return head.order_id != 0 ? state_.by_order_id : state_.by_client_id;
    }
    static bool names_an_order(const CommandHead& head) {
        return head.kind == command_kind::CANCEL || head.kind == command_kind::REPLACE;
    }

    void look_at_slots(const CommandHead& head, u64 seq) const {
        map_of(head).prefetch(hash_of(head));
        if (head.kind == command_kind::NEW_ORDER) state_.by_order_id.prefetch(hash_id(seq));
    }

    void look_at_orders(const Command* commands, std::size_t at, std::size_t count) const {
        if (at + kOrder < count) {
            const CommandHead& head = commands[at + kOrder].head;
            if (!names_an_order(head)) {
                look_at_market(head);
            } else if (const Handle order = map_of(head).guess(hash_of(head)); order != kNone) {
                fetch(&state_.orders[order]);
                fetch(&state_.orders[order].lot_micros);
                fetch(&state_.links[order]);
            }
        }
        if (at + kNeighbours < count) {
            const CommandHead& head = commands[at + kNeighbours].head;
            if (!names_an_order(head)) {
                look_at_position(head);
            } else if (const Handle order = map_of(head).guess(hash_of(head)); order != kNone) look_around(order);
        }
    }

    // What a new order meets: its instrument's book, and its account's position there.
    void look_at_market(const CommandHead& head) const {
        const Handle account = state_.find_account(head.account);
        const Handle book = state_.find_book(head.instrument);
        if (account == kNone || book == kNone) return;
        fetch(&state_.books[book]);
        fetch(&state_.books[book].phase);
        state_.position_ids.prefetch(hash_pair(account, book));
    }
    void look_at_position(const CommandHead& head) const {
        const Handle account = state_.find_account(head.account);
        const Handle book = state_.find_book(head.instrument);
        if (account == kNone || book == kNone) return;
        if (const Handle at = state_.position_ids.guess(hash_pair(account, book)); at != kNone) {
            fetch(&state_.positions[at]);
        }
        for (const Half& half : state_.books[book].halves) {
            if (half.best != kNone) fetch(&state_.levels[half.best]);
        }
    }

    void look_around(Handle at) const {
        const Order& order = state_.orders[at];
        fetch(&state_.books[order.book]);
        fetch(&state_.positions[order.position]);
        const OrderLinks& link = state_.links[at];
        state_.by_order_id.prefetch(hash_id(order.order_id));
        if (order.level != kNone) fetch(&state_.levels[order.level]);
        for (const Handle neighbour : {link.next, link.previous, link.account_next, link.account_previous}) {
            if (neighbour != kNone) fetch(&state_.links[neighbour]);
        }
    }

    // Exactly once in: a session's next number is executed, a lower one is a repetition, a higher one is refused.
    [[gnu::always_inline]] void admit(Step& step) {
        const CommandHead& head = step.head();
        if (head.kind >= kFirstControl) {
            dispatch(step);
            return;
        }
        Session* session = session_of(head.session_id);
        const u64 last_no = session != nullptr ? session->last_no : 0;
        if (session != nullptr && head.session_no == last_no + 1 && head.session_no != 0) [[likely]] {
            if (session->is_full()) [[unlikely]]
                state_.widen(*session, last_no + 1);
            // As nearly all are; and nearly all are one of these three.
            switch (head.kind) {
                case command_kind::NEW_ORDER: {
                    const bool bare = has_no_options(step.command.order);
                    session->advance(step.seq, content::of_new_order(step.command, bare));
                    return orders::new_order(state_, step, bare);
                }
                case command_kind::CANCEL:
                    session->advance(step.seq, content::sum_of<content::kOfCancel>(step.command));
                    return orders::cancel(state_, step);
                case command_kind::REPLACE:
                    session->advance(step.seq, content::sum_of<content::kOfReplace>(step.command));
                    return replacing::replace(state_, step);
                default: session->advance(step.seq, content_of(step.command)); return dispatch(step);
            }
        } else if (head.session_id == 0 && head.kind >= kFirstAdmin) {
            dispatch(step);
        } else if (head.session_id == 0 || (head.session_no > last_no && head.session_no - last_no > 1)) {
            refuse_number(step, code::SESSION_OUT_OF_ORDER);
        } else if (head.session_no <= last_no) {
            repeated(step, session != nullptr ? session->outcome(head.session_no) : Outcome{0, kNoContent});
        } else {
            state_.add_session(head.session_id).advance(step.seq, content_of(step.command));
            dispatch(step);
        }
    }

    // A number that was used: the same command again, or another one under its number.
    static void repeated(Step& step, const Outcome& original) {
        const u64 content = content_of(step.command);
        if (content != original.content && content != kNoContent && original.content != kNoContent) {
            refuse_number(step, code::KEY_REUSED);
        } else {
            report::duplicate(step, original.seq);
        }
    }

    Session* session_of(u64 id) {
        if (last_session_ != kNone && state_.sessions[last_session_].session_id == id) [[likely]] {
            return &state_.sessions[last_session_];
        }
        const Handle at = state_.find_session(id);
        if (at == kNone) return nullptr;
        last_session_ = at;
        return &state_.sessions[at];
    }

    // The refusal of a command for its number, in the shape of its own refusals; the session stays as it is.
    static void refuse_number(Step& step, Code code) {
        const u8 kind = step.head().kind;
        if (kind >= kFirstAdmin && kind < kEndAdmin) {
            report::emit(step, report::definition(step, event_kind::ADMIN_REJECTED, code));
            return;
        }
        u8 outcome = event_kind::REJECTED;
        if (kind == command_kind::CANCEL) outcome = event_kind::CANCEL_REJECTED;
        if (kind == command_kind::REPLACE) outcome = event_kind::REPLACE_REJECTED;
        report::refused(step, outcome, code);
    }

    void dispatch(Step& step) {
        carry_out(step);
        if (state_.due) endings::finish(state_, step);
    }

    void carry_out(Step& step) {
        switch (step.head().kind) {
            case command_kind::NEW_ORDER:
                return orders::new_order(state_, step, has_no_options(step.command.order));
            case command_kind::CANCEL: return orders::cancel(state_, step);
            case command_kind::REPLACE: return replacing::replace(state_, step);
            case command_kind::MASS_CANCEL: return orders::mass_cancel(state_, step);
            case command_kind::REFUSED: return orders::gateway_refusal(step);
            case command_kind::DEFINE_INSTRUMENT: return admin::define_instrument(state_, step);
            case command_kind::DEFINE_ACCOUNT: return admin::define_account(state_, step);
            case command_kind::ADJUST_CASH: return admin::adjust_cash(state_, step);
            case command_kind::ADJUST_POSITION: return admin::adjust_position(state_, step);
            case command_kind::SET_PHASE: return settings::set_phase(state_, step);
            case command_kind::SET_ACCOUNT_STATUS: return settings::set_account_status(state_, step);
            case command_kind::SET_RISK_LIMITS: return settings::set_risk_limits(state_, step);
            case command_kind::SET_FEES: return settings::set_fees(state_, step);
            case command_kind::SET_PRICE_LIMITS: return settings::set_price_limits(state_, step);
            case command_kind::TRANSFER_POSITION: return admin::transfer_position(state_, step);
            case command_kind::SESSION_OPENED: return orders::session_opened(state_, step);
            case command_kind::SESSION_CLOSED: return orders::session_closed(state_, step);
            case command_kind::SET_MARGIN: return settings::set_margin(state_, step);
            case command_kind::SET_INDEX: return settings::set_index(state_, step);
            case command_kind::SET_MARKET_BREAKER: return settings::set_market_breaker(state_, step);
            case command_kind::SET_THROTTLE: return settings::set_throttle(state_, step);
            case command_kind::SET_BANDS: return settings::set_bands(state_, step);
            case command_kind::SET_BAND_WIDTH: return settings::set_band_width(state_, step);
            case command_kind::SET_LOTS: return settings::set_lots(state_, step);
            case command_kind::SET_RESTRICTIONS: return settings::set_restrictions(state_, step);
            case command_kind::SET_SHORT_SALES: return settings::set_short_sales(state_, step);
            case command_kind::EPOCH_START: return report::control(step, event_kind::EPOCH_STARTED);
            case command_kind::GROW: return report::control(step, event_kind::GROWN);
            case command_kind::GROW_REVOKED: return report::control(step, event_kind::GROW_WITHDRAWN);
            case command_kind::TICK: return phases::tick(state_, step);
            // A kind that this version doesn't know: refused, not guessed.
            default: return report::refused(step, event_kind::REJECTED, code::UNKNOWN_COMMAND);
        }
    }

    State state_;
    Handle last_session_ = kNone;  // the one found last
};

}  // namespace lockstep
