// Who may trade an instrument, and how far; when its short sales are held to a price. The terms alone; `barring.hpp` asks
// for them.
#pragma once

#include <map>

#include "lockstep/codes.hpp"

namespace lockstep {

// What SET_RESTRICTIONS sets, of an account or of everybody; 0 is no such restriction.
struct Restriction {
    u32 bars;
    u32 max_share_ppm;
    i64 outstanding_lots;
    i64 located_lots;

    bool is_none() const { return bars == 0 && max_share_ppm == 0 && outstanding_lots == 0 && located_lots == 0; }
};

// Of one instrument.
struct Restraints {
    static constexpr u32 kEverybody = 0;

    std::map<u32, Restriction> of;  // by account id; those of everybody under `kEverybody`
    u32 fall_ppm = 0;               // from which on short sales are restricted
    i64 since_day = 0;              // the business day that last set it off, 0: none

    bool is_set() const { return !of.empty() || fall_ppm != 0 || since_day != 0; }
    bool are_shorts_watched() const { return fall_ppm != 0 || since_day != 0; }
    const Restriction& of_account(u32 account) const {
        static constexpr Restriction kUnrestrained = {};
        const auto found = of.find(account);
        return found != of.end() ? found->second : kUnrestrained;
    }
};

}  // namespace lockstep
