// What each command does at last: contingent orders that are due, and a look at bands.
#pragma once

#include "lockstep/families.hpp"

namespace lockstep::endings {

// One thing at a time, until nothing is due: children first (those whose parent has ended, then those that can go, by
// order id), then the banded instrument of the lowest id.
inline void finish(State& state, Step& step) {
    while (state.due) {
        if (!state.orphans.empty()) {
            families::settle(state, *state.orphans.begin(), step);
        } else if (!state.ready.empty()) {
            families::send(state, state.children.at(*state.ready.begin()).at, step);
        } else if (const Handle number = state.next_touched(); number != kNone) {
            bands::look(state, number, step);
        } else {
            state.due = false;
        }
    }
    // An order that was not filed leaves its marks behind.
    state.draft().marked = 0;
}

}  // namespace lockstep::endings
