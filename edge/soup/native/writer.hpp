// What a client hears: its EVENT records to packets. `codec.hpp` is the whole.
#pragma once

#include <stdexcept>
#include <string>

#include "tables.hpp"
#include "wire.hpp"

namespace lockstep::ouch {

inline constexpr u32 kLongestFirm = 9'999;
inline constexpr u32 kOffScale = UINT32_MAX;

// The reason letter of a Rejected for an outcome code.
inline u8 reject_reason(Code code) {
    switch (code) {
        case code::UNKNOWN_INSTRUMENT: return 'S';
        case code::BAD_PRICE:
        case code::PRICE_OUT_OF_RANGE:
        case code::OUTSIDE_BAND:
        case code::PRICE_COLLAR: return 'X';
        case code::BAD_QUANTITY:
        case code::QUANTITY_OUT_OF_RANGE:
        case code::ORDER_TOO_LARGE: return 'Z';
        case code::BAD_DISPLAY: return 'D';
        case code::BAD_MINIMUM: return 'N';
        case code::WRONG_PHASE: return 'H';
        case code::UNKNOWN_ACCOUNT:
        case code::NOT_ENTITLED: return 'L';
        case code::ACCOUNT_CLOSE_ONLY:
        case code::ACCOUNT_RESTRICTED:
        case code::ACCOUNT_BANNED:
        case code::ACCOUNT_KILLED: return 'a';
        case code::SHORT_SALE: return 'i';
        case code::POSITION_LIMIT: return 'm';
        case code::ORDER_WORTH_TOO_MUCH: return 'n';
        default: return 'O';
    }
}

// The reason letter of a Canceled. `own`: the session's own command did it.
inline u8 cancel_reason(Code code, bool own) {
    switch (code) {
        case code::CANCEL_REQUESTED: return own ? 'U' : 'S';
        case code::IOC_REMAINDER:
        case code::FOK_UNFILLABLE:
        case code::NO_LIQUIDITY:
        case code::MIN_QUANTITY: return 'I';
        case code::EXPIRED: return 'T';
        case code::MASS_CANCEL: return 'S';
        case code::SELF_TRADE: return 'Q';
        case code::ACCOUNT_BLOCKED: return 'D';
        default: return 'Z';
    }
}

// A number that was refused because another command has it, or a lower one is missing: nothing has happened.
inline bool is_no_outcome(Code code) {
    return code == code::KEY_REUSED || code == code::SESSION_OUT_OF_ORDER;
}

// Builds one message; the packet's head goes before it.
class Message {
public:
    explicit Message(u8 type) { put(&type, 1); }
    void put(const u8* from, std::size_t count) {
        std::memcpy(bytes_ + size_, from, count);
        size_ += count;
    }
    void number(u64 value, std::size_t count) {
        write_big(bytes_ + size_, value, count);
        size_ += count;
    }
    void letter(u8 value) { bytes_[size_++] = value; }
    void token(const Token& token) {
        token.write(bytes_ + size_);
        size_ += kTokenBytes;
    }
    void time(i64 timestamp_ns) { number(static_cast<u64>(timestamp_ns % kNsPerDay), 8); }
    const u8* data() const { return bytes_; }
    std::size_t size() const { return size_; }

private:
    u8 bytes_[96];
    std::size_t size_ = 0;
};

class Writer {
public:
    Writer(const Instruments& instruments, Orders& orders) : instruments_(instruments), orders_(orders) {}

    u64 next_message() const { return next_; }

    // Sequenced packets of what happened to the session, from message `emit_from` on. `rows`: as `route` gives them.
    std::string encode(const Event* rows, const u8* legs, std::size_t count, u64 emit_from) {
        out_.clear();
        emit_from_ = emit_from;
        for (std::size_t at = 0; at < count; ++at) on_row(rows[at], legs[at] != 0);
        return std::move(out_);
    }

private:
    // ---- what happened -------------------------------------------------------------------------------------------

    void on_row(const Event& row, bool other_leg) {
        if (next_ == 1) {
            Message start('S');
            start.time(row.timestamp_ns);
            start.letter('S');
            say(start);
        }
        switch (row.kind) {
            case event_kind::ACCEPTED: return on_accepted(row, other_leg);
            case event_kind::REJECTED: return on_rejected(row);
            case event_kind::TRADE: return on_trade(row, other_leg);
            case event_kind::CANCELED:
            case event_kind::REDUCED: return on_taken_off(row, other_leg);
            case event_kind::REPLACED: return on_replaced(row, other_leg);
            case event_kind::CANCEL_REJECTED: return on_cancel_rejected(row);
            case event_kind::REPLACE_REJECTED: return on_replace_rejected(row);
            default: return;
        }
    }

    // Whether a note says what the command of this number is about.
    bool is_noted(const Event& row) const { return noted_no_ != 0 && row.session_no == noted_no_ + 1; }

    // The token of a new order.
    bool token_of(const Event& row, Token& token) const {
        if ((row.client_order_id & kTop) != 0) {
            token = noted_;
            return is_noted(row);
        }
        u8 text[kTokenBytes];
        if (!unpack(row.client_order_id, text)) return false;
        token = Token::read(text);
        return true;
    }

    void on_accepted(const Event& row, bool other_leg) {
        Token token;
        // The session may have given an order of another instrument over gRPC.
        if (other_leg || instruments_.find(row.instrument) == nullptr || !token_of(row, token)) return;
        OrderEvent order;
        std::memcpy(static_cast<void*>(&order), &row, sizeof order);
        orders_.use(token, row.client_order_id);
        Live& live = orders_.open(row.client_order_id);
        live.token = token;
        live.account = row.account;
        live.instrument = row.instrument;
        live.side = row.side;
        live.tif = order.tif;
        live.flags = order.order_flags;
        Message message('A');
        message.time(row.timestamp_ns);
        message.token(token);
        terms(message, order, live);
        message.letter('L');
        message.letter(' ');
        say(message);
    }

    void on_rejected(const Event& row) {
        if (is_no_outcome(row.code)) return;
        if ((row.order_id & kTop) == 0) {
            Token token;
            if (!token_of(row, token)) return;
            orders_.use(token, 0);
            orders_.end(row.client_order_id);
            return say_of('J', row, token, reject_reason(row.code));
        }
        const Token token = {row.order_id & ((u64{1} << 48) - 1), row.client_order_id};
        const auto kind = static_cast<Note>(row.order_id >> 55 & 0xFF);
        if (row.code == code::NOTED) {
            noted_ = token;
            noted_no_ = kind == Note::NONE ? 0 : row.session_no;
        } else if (kind == Note::CANCEL) {
            say_of('I', row, token, 0);
        } else {
            orders_.use(token, 0);
            say_of('J', row, token, static_cast<u8>(row.order_id >> 48 & 0x7F));
        }
    }

    void on_trade(const Event& row, bool other_leg) {
        const Live* live = orders_.find(row.client_order_id);
        if (live == nullptr) return;
        const Instrument& instrument = instrument_of(row.instrument);
        u8 liquidity = other_leg ? ((live->flags & order_flag::HIDDEN) != 0 ? 'J' : 'A') : 'R';
        if ((row.flags & event_flag::AUCTION) != 0) liquidity = live->tif == tif::AT_CLOSE ? 'C' : 'O';
        Message message('E');
        message.time(row.timestamp_ns);
        message.token(live->token);
        message.number(shares_of(row.quantity_lots, instrument), 4);
        message.number(price_of(row.price_ticks, instrument), 4);
        message.letter(liquidity);
        message.number(row.seq << 20 | (row.index & 0xFFFFF), 8);
        say(message);
        if (row.leaves_lots == 0) orders_.end(row.client_order_id);
    }

    void on_taken_off(const Event& row, bool other_leg) {
        const Live* live = orders_.find(row.client_order_id);
        if (live == nullptr) return;
        const Instrument& instrument = instrument_of(row.instrument);
        const u64 shares = shares_of(row.quantity_lots, instrument);
        if (row.code == code::SELF_TRADE) {
            Message message('D');
            message.time(row.timestamp_ns);
            message.token(live->token);
            message.number(shares, 4);
            message.letter('Q');
            message.number(shares, 4);
            message.number(price_of(row.price_ticks, instrument), 4);
            message.letter(other_leg ? 'A' : 'R');
            say(message);
        } else {
            canceled(row, live->token, shares, cancel_reason(row.code, !other_leg));
        }
        if (is_noted(row) && !other_leg) orders_.use(noted_, 0);
        if (row.kind == event_kind::CANCELED) orders_.end(row.client_order_id);
    }

    void on_replaced(const Event& row, bool other_leg) {
        Live* live = orders_.find(row.client_order_id);
        if (live == nullptr) return;
        const Instrument& instrument = instrument_of(row.instrument);
        if (other_leg) {
            canceled(row, live->token, shares_of(row.previous_leaves_lots, instrument), 'S');
            return orders_.end(row.client_order_id);
        }
        if (!is_noted(row)) {
            const i64 off = row.previous_leaves_lots - row.leaves_lots;
            return canceled(row, live->token, shares_of(off > 0 ? off : 0, instrument), 'U');
        }
        const Token previous = live->token;
        live->token = noted_;
        if (live->pending == noted_) live->pending = {};
        orders_.use(noted_, row.client_order_id);
        OrderEvent order;
        std::memcpy(static_cast<void*>(&order), &row, sizeof order);
        Message message('U');
        message.time(row.timestamp_ns);
        message.token(noted_);
        terms(message, order, *live);
        message.letter('L');
        message.token(previous);
        message.letter(' ');
        say(message);
    }

    void on_cancel_rejected(const Event& row) {
        const Live* live = orders_.find(row.client_order_id);
        if (live == nullptr || row.code == code::UNKNOWN_ORDER || is_no_outcome(row.code)) return;
        say_of('I', row, live->token, 0);
    }

    void on_replace_rejected(const Event& row) {
        if (is_no_outcome(row.code)) return;
        Live* live = orders_.find(row.client_order_id);
        if (is_noted(row)) {
            if (live != nullptr && live->pending == noted_) live->pending = {};
            orders_.use(noted_, 0);
            return say_of('J', row, noted_, reject_reason(row.code));
        }
        if (live == nullptr || row.code == code::UNKNOWN_ORDER || row.code == code::BAD_QUANTITY) return;
        say_of('I', row, live->token, 0);
    }

    // ---- messages to the client ----------------------------------------------------------------------------------

    const Instrument& instrument_of(u32 id) const {
        const Instrument* found = instruments_.find(id);
        if (found == nullptr) throw std::logic_error("a live order of an instrument that is not known");
        return *found;
    }
    static u64 shares_of(i64 lots, const Instrument& instrument) {
        const i128 shares = i128{lots} * instrument.units;
        return shares > kOffScale ? kOffScale : static_cast<u64>(shares);
    }
    static u64 price_of(i64 ticks, const Instrument& instrument) {
        const i128 price = i128{ticks} * instrument.tick_micros / 100;
        return price > kOffScale ? kOffScale : static_cast<u64>(price);
    }

    // What Accepted and Replaced have in common, from the side on.
    void terms(Message& message, const OrderEvent& order, const Live& live) const {
        const Instrument& instrument = instrument_of(order.instrument);
        message.letter(order.side == side::BUY ? 'B' : 'S');
        message.number(shares_of(order.leaves_lots, instrument), 4);
        message.put(instrument.name.data(), instrument.name.size());
        const bool market = order.order_type == order_type::MARKET;
        message.number(market ? kMarketPrice : price_of(order.price_ticks, instrument), 4);
        message.number(seconds_of(order), 4);
        u8 firm[4] = {' ', ' ', ' ', ' '};
        if (live.account <= kLongestFirm) {
            const std::string text = std::to_string(live.account);
            std::memcpy(firm, text.data(), text.size());
        }
        message.put(firm, sizeof firm);
        const u8 flags = order.order_flags;
        message.letter((flags & order_flag::HIDDEN) != 0 ? 'N' : (flags & order_flag::POST_ONLY) != 0 ? 'P' : 'Y');
        message.number(order.order_id, 8);
        message.letter('O');
        message.letter('N');
        message.number(0, 4);
        message.letter(order.tif == tif::AT_OPEN ? 'O' : order.tif == tif::AT_CLOSE ? 'C' : 'N');
    }
    static u64 seconds_of(const OrderEvent& order) {
        if (order.tif == tif::IOC || order.tif == tif::FOK) return 0;
        if (order.tif != tif::GTD) return kDay;
        const i64 left_ns = order.expire_ns - order.timestamp_ns;
        const i64 seconds = left_ns / kNsPerSecond + (left_ns % kNsPerSecond > 0 ? 1 : 0);
        return seconds < 1 ? 1 : seconds > kLastSecond ? u64{kLastSecond} : static_cast<u64>(seconds);
    }

    void canceled(const Event& row, const Token& token, u64 shares, u8 reason) {
        Message message('C');
        message.time(row.timestamp_ns);
        message.token(token);
        message.number(shares, 4);
        message.letter(reason);
        say(message);
    }
    // Time, token and perhaps a reason.
    void say_of(u8 type, const Event& row, const Token& token, u8 reason) {
        Message message(type);
        message.time(row.timestamp_ns);
        message.token(token);
        if (reason != 0) message.letter(reason);
        say(message);
    }
    void say(const Message& message) {
        if (next_++ < emit_from_) return;
        u8 head[3];
        write_big(head, message.size() + 1, 2);
        head[2] = 'S';
        out_.append(reinterpret_cast<const char*>(head), sizeof head);
        out_.append(reinterpret_cast<const char*>(message.data()), message.size());
    }

    const Instruments& instruments_;
    Orders& orders_;
    u64 next_ = 1;  // number of the next message to the client
    Token noted_;
    u64 noted_no_ = 0;  // of the note; 0: none counts
    // Of the call that is under way.
    std::string out_;
    u64 emit_from_ = 0;
};

}  // namespace lockstep::ouch
