// From price to price level, and to the level next to a price: a radix tree of 64-way nodes with a bitmap in each.
//
// The tree of one side of a book is as high as its largest price needs (3 nodes up to 262 143 ticks, 7 at most), so
// finding, adding, removing and "next worse price" are a few bit operations whatever the number of levels, and nothing
// is ever re-centred or rebalanced. The levels themselves are a list, and the best is at its head in `Half`.
#pragma once

#include "lockstep/pool.hpp"

namespace lockstep {

struct PriceNode {
    u64 bits;          // bit d: child[d] is there
    Handle above;      // none of the root
    u32 unused;
    Handle child[64];  // of the lowest nodes: levels
};
using PriceNodes = Pool<PriceNode, 9>;

class PriceIndex {
public:
    // The level at a price, or none.
    Handle find(const PriceNodes& nodes, i64 price) const {
        if (root_ == kNone || outside(price)) return kNone;
        Handle at = root_;
        for (unsigned height = height_;;) {
            const PriceNode& node = nodes[at];
            const unsigned digit = digit_of(price, --height);
            if ((node.bits >> digit & 1) == 0) return kNone;
            at = node.child[digit];
            if (height == 0) return at;
        }
    }

    // The place for the level at a price, made if it is missing; kNone stands in a new one. `leaf` is the node that it
    // is in.
    Handle& slot(PriceNodes& nodes, i64 price, Handle& leaf) {
        if (root_ == kNone || outside(price)) [[unlikely]]
            heighten(nodes, price);
        Handle at = root_;
        for (unsigned height = height_ - 1; height != 0; --height) {
            const unsigned digit = digit_of(price, height);
            if ((nodes[at].bits >> digit & 1) == 0) {
                const Handle below = make(nodes);
                nodes[below].above = at;
                nodes[at].child[digit] = below;
                nodes[at].bits |= u64{1} << digit;
            }
            at = nodes[at].child[digit];
        }
        leaf = at;
        PriceNode& node = nodes[at];
        const unsigned digit = digit_of(price, 0);
        if ((node.bits >> digit & 1) == 0) {
            node.bits |= u64{1} << digit;
            node.child[digit] = kNone;
        }
        return node.child[digit];
    }

    // Remove a price that is there, from its leaf; nodes that become empty are given back, except the root.
    void erase(PriceNodes& nodes, Handle leaf, i64 price) {
        Handle at = leaf;
        for (unsigned height = 0;; ++height) {
            PriceNode& node = nodes[at];
            node.bits &= ~(u64{1} << digit_of(price, height));
            if (node.bits != 0 || at == root_) return;
            const Handle above = node.above;
            nodes.give_back(at);
            at = above;
        }
    }

    // The level at the nearest price above (`up`) or below the given one, which need not be there itself.
    Handle next(const PriceNodes& nodes, i64 price, bool up) const {
        if (root_ == kNone) return kNone;
        Handle at = root_;
        Handle turn = kNone;
        unsigned turn_height = 0;
        u64 turn_bits = 0;
        for (unsigned height = height_ - 1;; --height) {
            const PriceNode& node = nodes[at];
            const unsigned digit = digit_of(price, height);
            const u64 beyond = up ? node.bits & ~((u64{2} << digit) - 1) : node.bits & ((u64{1} << digit) - 1);
            if (height == 0) {
                if (beyond != 0) return node.child[first_of(beyond, up)];
                break;
            }
            if (beyond != 0) {
                turn = at;
                turn_height = height;
                turn_bits = beyond;
            }
            if ((node.bits >> digit & 1) == 0) break;
            at = node.child[digit];
        }
        if (turn == kNone) return kNone;
        at = nodes[turn].child[first_of(turn_bits, up)];
        while (turn_height-- > 0) at = nodes[at].child[first_of(nodes[at].bits, up)];
        return at;
    }

private:
    static constexpr unsigned kDigitBits = 6;
    static constexpr unsigned kHighest = 7;  // 7 * 6 bits hold every price below 2^40

    static unsigned digit_of(i64 price, unsigned height) {
        return static_cast<unsigned>(price >> (kDigitBits * height)) & 63U;
    }
    static unsigned first_of(u64 bits, bool up) {
        return static_cast<unsigned>(up ? std::countr_zero(bits) : 63 - std::countl_zero(bits));
    }
    bool outside(i64 price) const { return price >> (kDigitBits * height_) != 0; }

    static Handle make(PriceNodes& nodes) {
        const Handle at = nodes.take();
        nodes[at].bits = 0;
        nodes[at].above = kNone;
        return at;
    }

    void heighten(PriceNodes& nodes, i64 price) {
        if (root_ == kNone) root_ = make(nodes);
        while (height_ == 0 || outside(price)) {
            if (height_ != 0 && nodes[root_].bits != 0) {
                const Handle above = make(nodes);
                nodes[above].bits = 1;
                nodes[above].child[0] = root_;
                nodes[root_].above = above;
                root_ = above;
            }
            ++height_;
        }
    }

    Handle root_ = kNone;
    unsigned height_ = 0;
};

}  // namespace lockstep
