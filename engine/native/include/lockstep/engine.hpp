// `Engine`: stream continuity, the session check, and the dispatch of stamped commands to their handlers.
//
// Everything under `lockstep/` is a header without dependencies, so the core can be built into any C++20 program:
//
//     lockstep::Engine engine;
//     lockstep::EventBuffer events;
//     engine.apply(commands, count, first_seq, timestamp_ns, events);
//
// One thread uses an engine.
#pragma once

#include "lockstep/admin.hpp"
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
        for (std::size_t at = 0; at < count; ++at) {
            look_ahead(commands, at, count);
            Step step{commands[at], first_seq + at, timestamp_ns, out};
            admit(step);
        }
        state_.last_seq = first_seq + count - 1;
        state_.last_timestamp_ns = timestamp_ns;
    }

private:
    static constexpr std::size_t kLookAhead = 8;

    // Ask early for what a later command will need from memory.
    void look_ahead(const Command* commands, std::size_t at, std::size_t count) const {
        if (at + kLookAhead >= count) return;
        const CommandHead& head = commands[at + kLookAhead].head;
        if (head.order_id != 0) {
            state_.by_order_id.prefetch(hash_id(head.order_id));
        } else {
            state_.by_client_id.prefetch(hash_pair(head.account, head.client_order_id));
        }
    }

    // Exactly once in: a session's next number is executed, a lower one is a repetition, a higher one is refused.
    void admit(Step& step) {
        const CommandHead& head = step.head();
        if (head.kind >= kFirstControl) {
            dispatch(step);
            return;
        }
        Session* session = session_of(head.session_id);
        const u64 last_no = session != nullptr ? session->last_no : 0;
        if (session != nullptr && head.session_no == last_no + 1 && head.session_no != 0) [[likely]] {
            session->advance(step.seq);
            dispatch(step);
        } else if (head.session_id == 0 && head.kind >= kFirstAdmin) {
            dispatch(step);
        } else if (head.session_id == 0 || (head.session_no > last_no && head.session_no - last_no > 1)) {
            out_of_order(step);
        } else if (head.session_no <= last_no) {
            report::duplicate(step, session != nullptr ? session->outcome_seq(head.session_no) : 0);
        } else {
            state_.add_session(head.session_id).advance(step.seq);
            dispatch(step);
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

    // The refusal of a number that is not the session's next, in the shape of the command's own refusals.
    static void out_of_order(Step& step) {
        const u8 kind = step.head().kind;
        if (kind >= kFirstAdmin && kind < kEndAdmin) {
            report::emit(step, report::definition(step, event_kind::ADMIN_REJECTED, code::SESSION_OUT_OF_ORDER));
            return;
        }
        u8 outcome = event_kind::REJECTED;
        if (kind == command_kind::CANCEL) outcome = event_kind::CANCEL_REJECTED;
        if (kind == command_kind::REPLACE) outcome = event_kind::REPLACE_REJECTED;
        report::refused(step, outcome, code::SESSION_OUT_OF_ORDER);
    }

    void dispatch(Step& step) {
        switch (step.head().kind) {
            case command_kind::NEW_ORDER: return orders::new_order(state_, step);
            case command_kind::CANCEL: return orders::cancel(state_, step);
            case command_kind::REPLACE: return orders::replace(state_, step);
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
            case command_kind::SESSION_CLOSED: return orders::session_closed(state_, step);
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
