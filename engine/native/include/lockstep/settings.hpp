// Administrative commands that set how an instrument or an account is traded: phases, fees, limits, status.
#pragma once

#include "lockstep/endings.hpp"
#include "lockstep/mass.hpp"

namespace lockstep::settings {

inline constexpr i64 kMaxFeePpm = 100'000;
inline constexpr i64 kMaxWidthPpm = 1'000'000;
inline constexpr i64 kMaxDurationNs = i64{1} << 50;
inline constexpr i64 kMaxMarginPpm = 10'000'000;
inline constexpr i64 kMaxIndexWeight = i64{1} << 30;
inline constexpr i64 kMaxConcentrationPpm = 1'000'000'000;

inline void refuse(Step& step, Code code) {
    report::emit(step, report::definition(step, event_kind::ADMIN_REJECTED, code));
}

inline bool within(i64 value, i64 low, i64 high) {
    return value >= low && value <= high;
}

// SET_PHASE, for one instrument or (id 0) for all: also the operator's halt and resume.
inline void set_phase(State& state, Step& step) {
    const SettingTerms& terms = step.command.setting;
    std::vector<Handle> books;
    if (step.head().instrument == 0) {
        books = phases::books_by_id(state);
    } else if (const Handle at = state.find_book(step.head().instrument); at != kNone) {
        books.push_back(at);
    }
    const bool good_schedule = terms.next_value != 0 ? terms.until_ns > step.now_ns : terms.until_ns == 0;
    const bool good_phases = within(terms.value, phase::PRE_OPEN, phase::CLOSED) && terms.next_value <= phase::CLOSED;
    if (books.empty()) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (!good_phases || !good_schedule || !within(terms.reference_price_ticks, 0, kMaxPriceTicks)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    for (const Handle at : books) {
        Book& book = state.books[at];
        if (terms.reference_price_ticks != 0) book.reference = terms.reference_price_ticks;
        phases::change_phase(state, book, {terms.value, terms.next_value, terms.until_ns}, asker_of(step), step);
    }
}

// SET_ACCOUNT_STATUS; BANNED takes off the account's orders.
inline void set_account_status(State& state, Step& step) {
    const u8 status = step.command.setting.value;
    const Handle at = state.find_account(step.head().account);
    if (at == kNone) return refuse(step, code::UNKNOWN_ACCOUNT);
    if (status > account_status::KILLED) return refuse(step, code::BAD_DEFINITION);
    const u8 previous = std::exchange(state.accounts[at].status, status);
    report::setting(step, event_kind::ACCOUNT_STATUS_SET, status, previous);
    if (status != account_status::BANNED) return;
    const auto all = orders::orders_of_account(state, at, [](const Order&) { return true; });
    orders::cancel_all(state, all, code::ACCOUNT_BLOCKED, step);
}

// SET_RISK_LIMITS: all of an account's limits at once. The counters go on while any limit is set.
inline void set_risk_limits(State& state, Step& step) {
    const LimitTerms& terms = step.command.limits;
    const i64 values[] = {terms.max_order_lots,      terms.max_order_micros,  terms.max_position_lots,
                          terms.max_orders_per_day,  terms.orders_per_second, terms.burst_orders,
                          terms.max_orders_per_trade, terms.max_concentration_ppm};
    const Handle at = state.find_account(step.head().account);
    const i64 rate = terms.orders_per_second;
    const i64 burst = terms.burst_orders;
    if (at == kNone) return refuse(step, code::UNKNOWN_ACCOUNT);
    const bool negative = std::any_of(std::begin(values), std::end(values), [](i64 value) { return value < 0; });
    if (negative || terms.max_concentration_ppm > kMaxConcentrationPpm || (rate != 0) != (burst != 0) ||
        std::max(rate, burst) > Limits::kSecondNs) {
        return refuse(step, code::BAD_DEFINITION);
    }
    Account& account = state.accounts[at];
    account.is_limited = std::any_of(std::begin(values), std::end(values), [](i64 value) { return value != 0; });
    if (!account.is_limited) account.limits = {};
    account.limits.max_order_lots = terms.max_order_lots;
    account.limits.max_order_micros = terms.max_order_micros;
    account.limits.max_position_lots = terms.max_position_lots;
    account.limits.max_orders_per_day = terms.max_orders_per_day;
    account.limits.orders_per_second = rate;
    account.limits.burst_orders = burst;
    account.limits.max_orders_per_trade = terms.max_orders_per_trade;
    account.limits.max_concentration_ppm = terms.max_concentration_ppm;
    report::setting(step, event_kind::RISK_LIMITS_SET);
}

// SET_FEES: an instrument's fee rates, while it has no live orders, as these have reserved by the old ones.
inline void set_fees(State& state, Step& step) {
    const RuleTerms& terms = step.command.rules;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    // A rebate is paid from the taker's fee of the same trade.
    if (!within(terms.taker_fee_ppm, 0, kMaxFeePpm) ||
        !within(terms.maker_fee_ppm, -terms.taker_fee_ppm, kMaxFeePpm)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    Book& book = state.books[at];
    const bool same = terms.maker_fee_ppm == book.maker_fee_ppm && terms.taker_fee_ppm == book.taker_fee_ppm;
    if (!same && book.live != 0) return refuse(step, code::ORDERS_LIVE);
    book.set_fees(static_cast<i32>(terms.maker_fee_ppm), static_cast<u32>(terms.taker_fee_ppm));
    report::setting(step, event_kind::FEES_SET);
}

// SET_PRICE_LIMITS: an instrument's band, collar and breaker.
inline void set_price_limits(State& state, Step& step) {
    const RuleTerms& terms = step.command.rules;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    const bool no_breaker =
        (terms.breaker_ppm | terms.breaker_window_ns | terms.breaker_pause_ns | terms.breaker_phase) == 0;
    const bool good_breaker = within(terms.breaker_ppm, 1, kMaxWidthPpm) &&
                              within(terms.breaker_window_ns, 1, kMaxDurationNs) &&
                              within(terms.breaker_pause_ns, 1, kMaxDurationNs) &&
                              (terms.breaker_phase == phase::HALT || terms.breaker_phase == phase::VOLATILITY_AUCTION);
    if (!within(terms.band_ppm, 0, kMaxWidthPpm) || !within(terms.collar_ppm, 0, kMaxWidthPpm) ||
        !(no_breaker || good_breaker)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    Book& book = state.books[at];
    book.band_ppm = static_cast<u32>(terms.band_ppm);
    book.collar_ppm = static_cast<u32>(terms.collar_ppm);
    book.breaker_ppm = static_cast<u32>(terms.breaker_ppm);
    book.breaker_window_ns = terms.breaker_window_ns;
    book.breaker_pause_ns = terms.breaker_pause_ns;
    book.breaker_phase = static_cast<u8>(terms.breaker_phase);
    book.rerule();
    state.waiting[at]->span.clear();
    report::setting(step, event_kind::PRICE_LIMITS_SET);
}

// SET_MARGIN: an instrument's initial and maintenance margin.
inline void set_margin(State& state, Step& step) {
    const MarketTerms& terms = step.command.market;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (!within(terms.initial_margin_ppm, 1, kMaxMarginPpm) ||
        !within(terms.maintenance_margin_ppm, 1, terms.initial_margin_ppm)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    state.books[at].initial_ppm = static_cast<u32>(terms.initial_margin_ppm);
    state.books[at].maintenance_ppm = static_cast<u32>(terms.maintenance_margin_ppm);
    report::setting(step, event_kind::MARGIN_SET);
}

// SET_INDEX: an instrument's part of the index, and its previous close.
inline void set_index(State& state, Step& step) {
    const MarketTerms& terms = step.command.market;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (!within(terms.index_weight, 0, kMaxIndexWeight) || !within(terms.close_price_ticks, 0, kMaxPriceTicks)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    Book& book = state.books[at];
    book.index_weight = terms.index_weight;
    if (terms.close_price_ticks != 0) book.close = terms.close_price_ticks;
    state.market.reindex(book);
    report::setting(step, event_kind::INDEX_SET);
}

// SET_MARKET_BREAKER: at which falls of the index the whole market halts or closes.
inline void set_market_breaker(State& state, Step& step) {
    const MarketTerms& terms = step.command.market;
    const i64 levels[] = {terms.level1_ppm, terms.level2_ppm, terms.level3_ppm};
    i64 lowest = 1;
    bool rising = true;
    for (const i64 level : levels) {
        if (level == 0) continue;
        rising = rising && within(level, lowest, kMaxWidthPpm);
        lowest = level + 1;
    }
    const bool pauses = levels[0] != 0 || levels[1] != 0;
    if (!rising || (pauses ? !within(terms.pause_ns, 1, kMaxDurationNs) : terms.pause_ns != 0)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    for (int at = 0; at < 3; ++at) state.market.levels[at] = static_cast<u32>(levels[at]);
    state.market.pause_ns = terms.pause_ns;
    state.market.day = state.market.level = 0;
    report::setting(step, event_kind::MARKET_BREAKER_SET);
}

// SET_THROTTLE: how many orders an instrument, or (id 0) the market, takes in a second.
inline void set_throttle(State& state, Step& step) {
    const i64 rate = step.command.throttle.orders_per_second;
    const i64 burst = step.command.throttle.burst_orders;
    const u32 instrument = step.head().instrument;
    const Handle at = state.find_book(instrument);
    if (at == kNone && instrument != 0) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (!within(rate, 0, Throttle::kSecondNs) || !within(burst, 0, Throttle::kSecondNs) || (rate != 0) != (burst != 0)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    (at != kNone ? state.books[at].throttle : state.market.throttle) = {rate, burst, 0};
    for (Handle each = 1; each < state.books.end(); ++each) state.rethrottle(state.books[each]);
    report::setting(step, event_kind::THROTTLE_SET);
}

inline bool are_bands(const BandTerms& terms) {
    for (const u32 ppm : {terms.high_ppm, terms.middle_ppm, terms.low_ppm, terms.step_ppm}) {
        if (!within(ppm, 1, kMaxWidthPpm)) return false;
    }
    for (const i64 time : {terms.window_ns, terms.limit_ns, terms.pause_ns}) {
        if (!within(time, 1, kMaxDurationNs)) return false;
    }
    return within(terms.high_above_ticks, 0, kMaxPriceTicks) &&
           within(terms.low_below_ticks, 0, terms.high_above_ticks) && within(terms.low_most_ticks, 0, kMaxPriceTicks);
}

// SET_BANDS: an instrument's limit up and limit down, anew; all terms 0: none.
inline void set_bands(State& state, Step& step) {
    const BandTerms& terms = step.command.bands;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    const i64 times_and_prices = terms.high_above_ticks | terms.low_below_ticks | terms.low_most_ticks |
                                 terms.window_ns | terms.limit_ns | terms.pause_ns;
    const bool none = (terms.high_ppm | terms.middle_ppm | terms.low_ppm | terms.step_ppm) == 0 && times_and_prices == 0;
    if (!none && !are_bands(terms)) return refuse(step, code::BAD_DEFINITION);
    Bands& bands = state.waiting[at]->bands;
    bands = {};
    bands.terms = {terms.high_ppm,        terms.middle_ppm,     terms.low_ppm,   terms.step_ppm, terms.high_above_ticks,
                   terms.low_below_ticks, terms.low_most_ticks, terms.window_ns, terms.limit_ns, terms.pause_ns};
    Book& book = state.books[at];
    book.rerule();
    if (!none) state.watch(at);
    report::setting(step, event_kind::BANDS_SET, none ? 0 : 1);
    if (book.phase == phase::CONTINUOUS) bands::open(state, at, 0, step);
    state.touch(at);
}

// SET_LOTS: what a round lot of an instrument is, by its previous close; all terms 0: there are none.
inline void set_lots(State& state, Step& step) {
    const LotTerms& terms = step.command.lots;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    Book& book = state.books[at];
    const u32 lots[] = {terms.round2_lots, terms.round3_lots, terms.round4_lots};
    const i64 above[] = {terms.above2_ticks, terms.above3_ticks, terms.above4_ticks};
    u32 round = terms.round1_lots;
    i64 before = 0;
    bool none = round == 0 && (terms.odd_lots | terms.display) == 0;
    bool good = within(round, 1, kMaxQuantityLots) && terms.odd_lots <= odd_lots::REFUSE &&
                terms.display <= odd_lot_display::OUT;
    for (int tier = 0; tier < 3; ++tier) {
        if (lots[tier] == 0 && above[tier] == 0) continue;
        none = false;
        good = good && within(lots[tier], 1, kMaxQuantityLots) && within(above[tier], before + 1, kMaxPriceTicks);
        before = above[tier];
        if (book.close > above[tier]) round = lots[tier];
    }
    if (!none && !good) return refuse(step, code::BAD_DEFINITION);
    book.round_lots = none ? 0 : round;
    book.odd_lots = terms.odd_lots;
    book.lot_display = terms.display;
    book.rerule();
    report::setting(step, event_kind::LOTS_SET, book.round_lots, book.lot_display);
}

// Whether these restrictions may be set, of one account or of everybody.
inline bool are_restrictions(const Restriction& terms, bool of_one) {
    constexpr u32 kBars = trade_bar::NO_BUYS | trade_bar::NO_SELLS | trade_bar::ONLY_CLOSING;
    const bool bars = (terms.bars & ~(of_one ? kBars : kBars | trade_bar::LOCATES)) == 0;
    if (of_one) {
        return bars && terms.max_share_ppm == 0 && terms.outstanding_lots == 0 &&
               within(terms.located_lots, 0, kMaxPositionLots);
    }
    return bars && terms.max_share_ppm <= kPpm && within(terms.outstanding_lots, 0, kMaxPositionLots) &&
           (terms.max_share_ppm != 0) == (terms.outstanding_lots != 0) && terms.located_lots == 0;
}

// SET_RESTRICTIONS, of an account or (id 0) of everybody; all terms 0: there are none any more.
inline void set_restrictions(State& state, Step& step) {
    const RestrictionTerms& said = step.command.restriction;
    const Restriction terms = {said.bars, said.max_share_ppm, said.outstanding_lots, said.located_lots};
    const u32 account = step.head().account;
    const bool of_one = account != Restraints::kEverybody;
    const Handle at = state.find_book(step.head().instrument);
    if (of_one && state.find_account(account) == kNone) return refuse(step, code::UNKNOWN_ACCOUNT);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (!are_restrictions(terms, of_one)) return refuse(step, code::BAD_DEFINITION);
    Book& book = state.books[at];
    if (terms.is_none()) {
        book.restraints->of.erase(account);
    } else {
        book.restraints->of[account] = terms;
    }
    book.rerule();
    report::setting(step, event_kind::RESTRICTIONS_SET, terms.bars);
}

// SET_SHORT_SALES: from which fall on they are restricted, and whether they are now.
inline void set_short_sales(State& state, Step& step) {
    const RestrictionTerms& said = step.command.restriction;
    const Handle at = state.find_book(step.head().instrument);
    if (at == kNone) return refuse(step, code::UNKNOWN_INSTRUMENT);
    if (said.fall_ppm > kPpm || said.action > short_sale_action::END) return refuse(step, code::BAD_DEFINITION);
    Book& book = state.books[at];
    Restraints& restraints = *book.restraints;
    restraints.fall_ppm = said.fall_ppm;
    if (said.action == short_sale_action::BEGIN) restraints.since_day = margin::business_day(step.now_ns);
    if (said.action == short_sale_action::END) restraints.since_day = 0;
    book.rerule();
    const bool now = barring::are_shorts_restricted(restraints, step.now_ns);
    report::setting(step, event_kind::SHORT_SALES_SET, restraints.fall_ppm, now ? 1 : 0);
}

// SET_BAND_WIDTH, of one instrument or (id 0) of all that have bands, by id.
inline void set_band_width(State& state, Step& step) {
    const SettingTerms& terms = step.command.setting;
    const u32 instrument = step.head().instrument;
    std::vector<Handle> books;
    if (instrument == 0) {
        books = phases::books_by_id(state);
    } else if (const Handle at = state.find_book(instrument); at != kNone) {
        books.push_back(at);
    }
    if (books.empty()) return refuse(step, code::UNKNOWN_INSTRUMENT);
    std::erase_if(books, [&](Handle at) { return !state.books[at].is_banded(); });
    if (books.empty() || !within(terms.value, 1, 2) || !within(terms.reference_price_ticks, 0, kMaxPriceTicks)) {
        return refuse(step, code::BAD_DEFINITION);
    }
    report::setting(step, event_kind::BAND_WIDTH_SET, terms.value);
    for (const Handle at : books) {
        const Book& book = state.books[at];
        Bands& bands = *book.bands;
        bands.factor = terms.value;
        if (terms.reference_price_ticks != 0) {
            bands::move(state, book, bands, terms.reference_price_ticks, step);
        } else if (bands.reference != 0) {
            bands.fit(book.close);
            bands::say_where(state, book, bands, step);
        }
        state.touch(at);
    }
}

}  // namespace lockstep::settings
