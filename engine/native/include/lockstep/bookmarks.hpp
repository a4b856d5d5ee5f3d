// Where listings of accounts' orders go on. An order that ends while a listing stands at it hands it on to its neighbour,
// so that the next page begins where the last one ended, without a search.
#pragma once

#include "lockstep/price_index.hpp"

namespace lockstep {

class Bookmarks {
public:
    static constexpr std::size_t kKept = 64;

    // The order with which the listing of `account` goes on after id `after`; kNone if it is not known here.
    Handle find(u32 account, u64 after) const {
        for (const Mark& mark : marks_) {
            if (mark.at != kNone && mark.account == account && mark.after == after) return mark.at;
        }
        return kNone;
    }

    // Keep one, in the place of the one that was kept longest ago. The order at `at` has to be marked.
    void keep(u32 account, u64 after, Handle at) {
        Mark* place = &marks_[0];
        for (Mark& mark : marks_) {
            if (mark.account == account && mark.after == after) {
                place = &mark;
                break;
            }
            if (mark.kept < place->kept) place = &mark;
        }
        *place = {account, at, after, ++kept_};
    }

    // The order at `from` ends; whether somebody goes on at `to` now.
    bool move(Handle from, Handle to) {
        bool moved = false;
        for (Mark& mark : marks_) {
            if (mark.at != from) continue;
            mark.at = to;
            moved = true;
        }
        return moved;
    }

private:
    struct Mark {
        u32 account = 0;
        Handle at = kNone;
        u64 after = 0;
        u64 kept = 0;
    };
    Mark marks_[kKept];
    u64 kept_ = 0;
};

}  // namespace lockstep
