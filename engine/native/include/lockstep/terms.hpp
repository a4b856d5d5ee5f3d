// The terms of an order by themselves: which fields may stand together, which phase takes them, which prices are good.
#pragma once

#include "lockstep/unruled.hpp"

namespace lockstep::orders {

// An iceberg shows at least this part of its quantity.
inline constexpr i64 kDisplayRatio = 1000;

inline bool has_limit(u8 type) {
    return type == order_type::LIMIT || type == order_type::STOP_LIMIT || type == order_type::OCO;
}

inline bool rests_by_tif(u8 tif) {
    return tif == tif::DAY || tif == tif::GTC || tif == tif::GTD;
}

// Whether there is such an order: side, type and time in force.
inline bool has_shape(const CommandHead& head) {
    if (head.side != side::BUY && head.side != side::SELL) return false;
    switch (head.order_type) {
        case order_type::LIMIT: return head.tif >= tif::DAY && head.tif <= tif::GOOD_FOR_AUCTION;
        case order_type::MARKET: return head.tif >= tif::DAY && head.tif <= tif::GOOD_FOR_AUCTION && head.tif != tif::GTD;
        case order_type::STOP:
        case order_type::STOP_LIMIT:
        case order_type::TRAILING_STOP:
        case order_type::OCO: return rests_by_tif(head.tif);
        default: return false;
    }
}

// Whether the optional fields may stand with the type and time in force, and with each other.
inline bool extras_fit(const CommandHead& head, const OrderTerms& terms) {
    const u8 type = head.order_type;
    const bool post_only = (head.flags & order_flag::POST_ONLY) != 0;
    const bool hidden = (head.flags & order_flag::HIDDEN) != 0;
    constexpr int kFlags = order_flag::POST_ONLY | order_flag::HIDDEN | order_flag::CANCEL_ON_HALT;
    const int flags = head.flags & ~order_flag::SHORT_EXEMPT;
    if (head.stp > stp::DECREMENT || (flags & ~kFlags) != 0) return false;
    if (flags != head.flags && head.side != side::SELL) return false;
    if (terms.expire_ns != 0 && head.tif != tif::GTD) return false;
    if (terms.trail_ticks != 0 && type != order_type::TRAILING_STOP) return false;
    if (terms.stop_price_ticks != 0 && (type == order_type::LIMIT || type == order_type::MARKET)) return false;
    if (flags != 0 || terms.display_lots != 0) {
        if (!rests_by_tif(head.tif) || (terms.display_lots != 0 && hidden)) return false;
        const bool only_halts = terms.display_lots == 0 && (flags & ~order_flag::CANCEL_ON_HALT) == 0;
        if (type != order_type::LIMIT && (type == order_type::MARKET || !only_halts)) return false;
    }
    if (terms.parent_id != 0) {
        const bool may_wait = has_limit(type) || type == order_type::STOP;
        if (!may_wait || !rests_by_tif(head.tif) || (head.flags | terms.display_lots | terms.min_lots) != 0) return false;
    }
    if (terms.min_lots == 0) return true;
    if (type == order_type::MARKET) return head.tif <= tif::IOC;
    return type == order_type::LIMIT && (rests_by_tif(head.tif) || head.tif == tif::IOC) && !post_only;
}

// Whether the instrument's phase takes such an order.
inline Code phase_refusal(u8 phase, const CommandHead& head, const OrderTerms& terms) {
    if (phase == phase::CONTINUOUS) return head.tif == tif::AT_OPEN ? code::WRONG_PHASE : code::OK;
    const bool opening = phase == phase::PRE_OPEN || phase == phase::OPENING_AUCTION;
    if (phase == phase::HALT || phase == phase::CLOSED) return code::WRONG_PHASE;
    if (head.tif == tif::AT_OPEN && !opening) return code::WRONG_PHASE;
    if (head.order_type == order_type::MARKET) {
        const bool at_once = head.tif == tif::IOC || head.tif == tif::FOK;
        return at_once || terms.min_lots != 0 ? code::WRONG_PHASE : code::OK;
    }
    if (head.order_type != order_type::LIMIT) return code::OK;
    const bool stays = rests_by_tif(head.tif) || head.tif >= tif::AT_OPEN;
    const bool post_only = (head.flags & order_flag::POST_ONLY) != 0;
    return stays && !post_only && terms.min_lots == 0 ? code::OK : code::WRONG_PHASE;
}

// Whether an order that is not a stop order goes into an auction instead of trading at once.
inline bool gathers(const Book& book, u8 tif) {
    return tif >= tif::AT_CLOSE || book.phase != phase::CONTINUOUS;
}

// Price at which a market order stands in an auction, 0 if nothing limits what it would cost. It decides at which prices
// the order takes part, and what a buy reserves; it is never an auction's price, unless the client named it.
inline i64 gathering_price(const Book& book, u8 side, i64 protection) {
    const i64 limit = limit_of(book, side, order_type::MARKET, protection);
    if (side == side::SELL) return std::max<i64>(limit, 1);
    return limit == INT64_MAX ? 0 : std::min(limit, kMaxPriceTicks);
}

// Whether the stop price of an OCO order is beyond its limit, where the market goes when it goes away from that.
inline bool is_beyond(u8 side, i64 stop, i64 price) {
    return side == side::BUY ? stop > price : stop < price;
}
using unruled::is_price;
using unruled::is_quantity;

// Stop price to begin with: a trailing stop that came without one takes it from the last price.
inline i64 first_stop(const Book& book, const CommandHead& head, const OrderTerms& terms) {
    if (terms.stop_price_ticks != 0 || terms.trail_ticks == 0) return terms.stop_price_ticks;
    return head.side == side::BUY ? book.last + terms.trail_ticks : book.last - terms.trail_ticks;
}

inline bool stop_is_good(const Book& book, const CommandHead& head, const OrderTerms& terms) {
    if (head.order_type == order_type::TRAILING_STOP) {
        if (!is_price(terms.trail_ticks)) return false;
        if (terms.stop_price_ticks == 0 && book.last == 0) return false;
    }
    if (head.order_type == order_type::OCO && !is_beyond(head.side, terms.stop_price_ticks, terms.price_ticks)) {
        return false;
    }
    return is_price(first_stop(book, head, terms));
}

// Why a limit is too far off: band, bands (unless the order waits for something), collar.
inline Code price_refusal(const Book& book, u8 side, i64 price, bool enters) {
    if (book.band_ppm != 0 && book.reference != 0) {
        const Band band = around(book.reference, book.band_ppm);
        if (price < band.low || price > band.high) return code::OUTSIDE_BAND;
    }
    if (enters && bands::refusal(book, side, price) != code::OK) return code::OUTSIDE_BAND;
    const i64 center = book.last != 0 ? book.last : book.reference;
    if (book.collar_ppm != 0 && center != 0) {
        const Band collar = around(center, book.collar_ppm);
        if (side == side::BUY ? price > collar.high : price < collar.low) return code::PRICE_COLLAR;
    }
    return code::OK;
}

// Quantity, prices and expiry of an order that is not a plain limit order without an end.
inline Code special_terms_refusal(const Book& book, const Step& step) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    const i64 lots = terms.quantity_lots;
    const i64 price = terms.price_ticks;
    const u8 type = head.order_type;
    if (has_limit(type) ? !is_price(price) : price != 0 && !(type == order_type::MARKET && is_price(price))) {
        return code::BAD_PRICE;
    }
    if (type == order_type::MARKET && gathers(book, head.tif) && gathering_price(book, head.side, price) == 0) {
        return code::BAD_PRICE;
    }
    if (type >= order_type::STOP && !stop_is_good(book, head, terms)) return code::BAD_STOP_PRICE;
    const i64 display = terms.display_lots;
    if (display != 0 && !(display >= 1 && display <= lots && lots <= i128{kDisplayRatio} * display)) {
        return code::BAD_DISPLAY;
    }
    if (terms.min_lots < 0 || terms.min_lots > lots) return code::BAD_MINIMUM;
    return head.tif == tif::GTD && terms.expire_ns <= step.now_ns ? code::BAD_EXPIRY : code::OK;
}

// Quantity, prices, expiry, and what price limits and the account's order size say to them.
template <bool kPlain>
inline Code terms_refusal(const Book& book, const Account& account, const Step& step) {
    const CommandHead& head = step.head();
    const i64 lots = step.command.order.quantity_lots;
    const i64 price = step.command.order.price_ticks;
    if (!is_quantity(lots)) return code::BAD_QUANTITY;
    if (kPlain && head.order_type == order_type::LIMIT && head.tif != tif::GTD) [[likely]] {
        if (!is_price(price)) return code::BAD_PRICE;
    } else if (const Code code = special_terms_refusal(book, step); code != code::OK) {
        return code;
    }
    if (book.terms_rules != 0) {
        const bool waits = head.order_type == order_type::STOP_LIMIT || step.command.order.parent_id != 0;
        const bool enters = !waits && !gathers(book, head.tif);
        const bool limited = has_limit(head.order_type);
        const Code code = limited ? price_refusal(book, head.side, price, enters) : Code{code::OK};
        if (code != code::OK) return code;
        if (!book.takes_lots(lots)) return code::ODD_LOT;
    }
    if (account.is_limited && account.limits.max_order_lots != 0 && lots > account.limits.max_order_lots) {
        return code::ORDER_TOO_LARGE;
    }
    return code::OK;
}

}  // namespace lockstep::orders
