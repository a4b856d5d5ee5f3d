// From price to price level, and to the level next to a price: a radix tree of 64-way nodes with a bitmap in each.
//
// The tree of one side of a book is as high as its largest price needs (3 nodes up to 262 143 ticks, 7 at most), so
// finding, adding, removing and "next worse price" are a few bit operations whatever the number of levels, and nothing
// is ever re-centred or rebalanced. The levels themselves are a list, and the best is at its head in `Half`.
#pragma once

#include "lockstep/pool.hpp"

namespace lockstep {

struct PriceNode {
    u64 bits;          // bit d: child[d] is there; the others are none
    Handle above;      // none of the root
    u32 unused;
    Handle child[64];  // of the lowest nodes: levels
};
using PriceNodes = Pool<PriceNode, 9>;

class PriceIndex {
public:
    // The level at a price, or none.
    Handle find(const PriceNodes& nodes, i64 price) const {
        if (outside(price)) return kNone;
        Handle at = root_;
        for (unsigned height = height_; height != 0 && at != kNone;) at = nodes[at].child[digit_of(price, --height)];
        return at;
    }

    // The place for the level at a price, made if it is missing; kNone stands in a new one. `leaf` is the node that it
    // is in.
    [[gnu::always_inline]] Handle& slot(PriceNodes& nodes, i64 price, Handle& leaf) {
        if (outside(price)) [[unlikely]]
            heighten(nodes, price);
        Handle at = root_;
        for (unsigned height = height_ - 1; height != 0; --height) {
            const unsigned digit = digit_of(price, height);
            const Handle below = nodes[at].child[digit];
            at = below != kNone ? below : hang(nodes, at, digit);
        }
        leaf = at;
        const unsigned digit = digit_of(price, 0);
        nodes[at].bits |= u64{1} << digit;
        return nodes[at].child[digit];
    }

    // Remove a price that is there, from its leaf; nodes that become empty are given back, except the root.
    [[gnu::always_inline]] void erase(PriceNodes& nodes, Handle leaf, i64 price) {
        PriceNode& node = nodes[leaf];
        const unsigned digit = digit_of(price, 0);
        node.child[digit] = kNone;
        node.bits &= ~(u64{1} << digit);
        if (node.bits == 0) prune(nodes, leaf, price);
    }

    // The level at the nearest price above (`up`) or below one that is there, from that one's leaf: it is mostly near.
    static Handle next(const PriceNodes& nodes, Handle leaf, i64 price, bool up) {
        unsigned height = 0;
        for (Handle at = leaf; at != kNone; at = nodes[at].above) {
            const u64 bits = nodes[at].bits;
            const unsigned digit = digit_of(price, height);
            const u64 beyond = up ? bits & ~((u64{2} << digit) - 1) : bits & ((u64{1} << digit) - 1);
            if (beyond == 0) {
                ++height;
                continue;
            }
            at = nodes[at].child[first_of(beyond, up)];
            while (height-- != 0) at = nodes[at].child[first_of(nodes[at].bits, up)];
            return at;
        }
        return kNone;
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
        // Its children are none: memory is zero to begin with, and what is given back is empty.
        const Handle at = nodes.take();
        nodes[at].bits = 0;
        nodes[at].above = kNone;
        return at;
    }

    // Give back an empty node, and those above that it leaves empty.
    [[gnu::noinline]] void prune(PriceNodes& nodes, Handle at, i64 price) {
        for (unsigned height = 1; nodes[at].bits == 0 && at != root_; ++height) {
            const Handle above = nodes[at].above;
            nodes.give_back(at);
            at = above;
            const unsigned digit = digit_of(price, height);
            nodes[at].child[digit] = kNone;
            nodes[at].bits &= ~(u64{1} << digit);
        }
    }

    // A new node below one.
    [[gnu::noinline]] static Handle hang(PriceNodes& nodes, Handle above, unsigned digit) {
        const Handle at = make(nodes);
        nodes[at].above = above;
        nodes[above].child[digit] = at;
        nodes[above].bits |= u64{1} << digit;
        return at;
    }

    [[gnu::noinline]] void heighten(PriceNodes& nodes, i64 price) {
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
