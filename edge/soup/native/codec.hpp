// A client's OUCH session: its packets to COMMAND records, its EVENT records to packets.
//
// `edge/soup/codec.py` is the same in plain Python and says why; tests hold the two together byte by byte.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "tables.hpp"

namespace lockstep::ouch {

// Why reading stopped. The numbers are those of `edge/soup/ouch.py`, `Halt`.
enum class Halt : u8 { NONE = 0, LOGOUT, BAD_LENGTH, UNKNOWN_PACKET, UNKNOWN_MESSAGE, BAD_TOKEN, FULL };

inline constexpr std::size_t kMaxPacket = 1024;
inline constexpr u32 kMarketPrice = 0x7FFF'FFFF;
inline constexpr u32 kDay = 99'998;
inline constexpr u32 kSystemDay = 99'999;
inline constexpr u32 kLastSecond = 86'399;
inline constexpr i64 kNsPerSecond = 1'000'000'000;
inline constexpr i64 kNsPerDay = 86'400 * kNsPerSecond;
inline constexpr u32 kLongestFirm = 9'999;
inline constexpr u32 kOffScale = UINT32_MAX;

// What a REFUSED record notes, beside a token.
enum class Note : u8 { NONE = 0, ENTER, REPLACE, CANCEL };

struct Read {
    std::size_t consumed = 0;
    std::size_t packets = 0;
    Halt halt = Halt::NONE;
    std::vector<Command> commands;
};

struct Who {
    u64 session_id;
    u16 gateway;
    u32 account;                // of orders that name no firm
    std::vector<u32> accounts;  // that it may trade; empty: all
    u8 stp;
};

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

class Codec {
public:
    Codec(const Instruments& instruments, Who who, std::size_t max_tokens, u64 seed)
        : instruments_(instruments), who_(std::move(who)), max_tokens_(max_tokens), orders_(seed) {}

    u64 next_message() const { return next_; }
    std::size_t used() const { return orders_.used(); }
    std::size_t alive() const { return orders_.alive(); }

    // ---- from the client -----------------------------------------------------------------------------------------

    // Whole packets of `data`, as many as fit into `room` commands numbered from `next_no`.
    Read decode(const u8* data, std::size_t size, u64 next_no, std::size_t room, i64 now_ns) {
        Read read;
        in_ = &read;
        next_no_ = next_no;
        now_ns_ = now_ns;
        while (read.halt == Halt::NONE && size - read.consumed >= 2) {
            const u8* packet = data + read.consumed;
            const std::size_t length = read_big(packet, 2);
            if (length == 0 || length > kMaxPacket) {
                read.halt = Halt::BAD_LENGTH;
                break;
            }
            if (size - read.consumed < 2 + length) break;
            if (packet[2] == 'U') {
                if (read.commands.size() + 2 > room) break;
                read.halt = message(packet + 3, length - 1);
            } else if (packet[2] == 'O') {
                read.halt = Halt::LOGOUT;
            } else if (packet[2] != 'R' && packet[2] != '+') {
                read.halt = Halt::UNKNOWN_PACKET;
            }
            ++read.packets;
            if (read.halt > Halt::LOGOUT) break;
            read.consumed += 2 + length;
        }
        in_ = nullptr;
        return read;
    }

    // ---- to the client -------------------------------------------------------------------------------------------

    // Sequenced packets of what happened to the session, from message `emit_from` on. `rows`: as `route` gives them.
    std::string encode(const Event* rows, const u8* legs, std::size_t count, u64 emit_from) {
        out_.clear();
        emit_from_ = emit_from;
        for (std::size_t at = 0; at < count; ++at) on_row(rows[at], legs[at] != 0);
        return std::move(out_);
    }

private:
    // ---- messages of the client ----------------------------------------------------------------------------------

    Halt message(const u8* text, std::size_t size) {
        if (size == 0) return Halt::UNKNOWN_MESSAGE;
        const u8 type = text[0];
        const bool known = (type == 'O' && (size == 48 || size == 49)) || (type == 'U' && size == 47) ||
                           (type == 'X' && size == 19) || (type == 'M' && size == 20);
        if (!known) return Halt::UNKNOWN_MESSAGE;
        if (!is_token(text + 1) || (type == 'U' && !is_token(text + 15))) return Halt::BAD_TOKEN;
        if (orders_.used() >= max_tokens_ && (type == 'O' || type == 'U')) return Halt::FULL;
        switch (type) {
            case 'O': enter(text); break;
            case 'U': replace(text); break;
            default: cancel(text); break;
        }
        return Halt::NONE;
    }

    struct Fault {
        Code code = code::OK;
        u8 reason = 0;
    };

    void enter(const u8* text) {
        const Token token = Token::read(text + 1);
        if (orders_.is_used(token)) return;
        Command order = {};
        order.head.kind = command_kind::NEW_ORDER;
        const Fault fault = terms_of(text, order);
        if (fault.code != code::OK) return refuse(Note::ENTER, token, fault);
        const u64 bits = packed(text + 1);
        order.head.client_order_id = bits;
        order.head.stp = who_.stp;
        if ((bits & kTop) != 0) note(Note::ENTER, token, {code::NOTED, 0});
        add(order);
        orders_.use(token, bits);
        Live& live = orders_.open(bits);
        live = {.token = token, .pending = {}, .account = order.head.account, .instrument = order.head.instrument,
                .side = order.head.side, .tif = order.head.tif, .flags = order.head.flags};
    }

    // The order's fields, in the order in which they are checked.
    Fault terms_of(const u8* text, Command& order) const {
        CommandHead& head = order.head;
        switch (text[15]) {
            case 'B': head.side = side::BUY; break;
            case 'S':
            case 'T':
            case 'E': head.side = side::SELL; break;
            default: return {code::UNKNOWN_ENUM_VALUE, 'O'};
        }
        head.instrument = instruments_.named(text + 20);
        if (head.instrument == 0) return {code::UNKNOWN_INSTRUMENT, 'S'};
        const Instrument& instrument = *instruments_.find(head.instrument);
        if (!account_of(text + 36, head.account)) return {code::UNKNOWN_ACCOUNT, 'L'};
        if (!may_trade(head.account)) return {code::NOT_ENTITLED, 'L'};
        order.order.quantity_lots = lots_of(read_u32(text + 16), instrument);
        if (order.order.quantity_lots == 0) return {code::BAD_QUANTITY, 'Z'};
        const u32 price = read_u32(text + 28);
        head.order_type = price == kMarketPrice ? u8{order_type::MARKET} : u8{order_type::LIMIT};
        if (price != kMarketPrice) order.order.price_ticks = ticks_of(price, instrument);
        if (price != kMarketPrice && order.order.price_ticks == 0) return {code::BAD_PRICE, 'X'};
        if (!display_of(text[40], head.flags)) return {code::BAD_DISPLAY, 'D'};
        if (text[42] != 'N') return {code::NOT_SUPPORTED, 'd'};
        if (read_u32(text + 43) != 0) return {code::BAD_MINIMUM, 'N'};
        return time_in_force(read_u32(text + 32), text[47], order);
    }

    Fault time_in_force(u32 seconds, u8 cross, Command& order) const {
        u8& tif = order.head.tif;
        if (cross == 'O') {
            tif = tif::AT_OPEN;
        } else if (cross == 'C') {
            tif = tif::AT_CLOSE;
        } else if (cross != 'N') {
            return {code::NOT_SUPPORTED, 'R'};
        } else if (seconds == 0) {
            tif = tif::IOC;
        } else if (seconds == kDay || seconds == kSystemDay) {
            tif = tif::DAY;
        } else if (seconds <= kLastSecond) {
            tif = tif::GTD;
            order.order.expire_ns = now_ns_ + seconds * kNsPerSecond;
        } else {
            return {code::BAD_EXPIRY, 'O'};
        }
        return {};
    }

    void replace(const u8* text) {
        const Token replacement = Token::read(text + 15);
        if (orders_.is_used(replacement)) return;
        u64 bits = 0;
        Live* live = orders_.named(Token::read(text + 1), bits);
        if (live == nullptr) return refuse(Note::REPLACE, replacement, {code::UNKNOWN_ORDER, 'O'});
        const Instrument& instrument = *instruments_.find(live->instrument);
        const i64 lots = lots_of(read_u32(text + 29), instrument);
        const u32 price = read_u32(text + 33);
        const i64 ticks = price == kMarketPrice ? 0 : ticks_of(price, instrument);
        u8 flags = 0;
        Fault fault;
        if (lots == 0) {
            fault = {code::BAD_QUANTITY, 'Z'};
        } else if (ticks == 0) {
            fault = {code::BAD_PRICE, 'X'};
        } else if (!display_of(text[41], flags) || flags != live->flags) {
            fault = {code::BAD_DISPLAY, 'D'};
        } else if (text[42] != 'N') {
            fault = {code::NOT_SUPPORTED, 'd'};
        } else if (read_u32(text + 43) != 0) {
            fault = {code::BAD_MINIMUM, 'N'};
        } else if (!keeps_time_in_force(read_u32(text + 37), live->tif)) {
            fault = {code::NOT_SUPPORTED, 'O'};
        }
        if (fault.code != code::OK) return refuse(Note::REPLACE, replacement, fault);
        note(Note::REPLACE, replacement, {code::NOTED, 0});
        Command order = addressed(command_kind::REPLACE, *live, bits);
        order.head.flags = replace_flag::TOTAL;
        order.order.quantity_lots = lots;
        order.order.price_ticks = ticks;
        add(order);
        orders_.use(replacement, bits);
        live->pending = replacement;
    }

    // Cancel Order and Modify Order. One that names no live order is without effect, as the protocol has it.
    void cancel(const u8* text) {
        const Token token = Token::read(text + 1);
        u64 bits = 0;
        const Live* live = orders_.named(token, bits);
        if (live == nullptr) return;
        if (text[0] == 'M') return note(Note::CANCEL, token, {code::NOT_SUPPORTED, 'O'});
        const u32 shares = read_u32(text + 15);
        if (shares == 0) return add(addressed(command_kind::CANCEL, *live, bits));
        const i64 lots = lots_of(shares, *instruments_.find(live->instrument));
        if (lots == 0) return note(Note::CANCEL, token, {code::BAD_QUANTITY, 'O'});
        Command order = addressed(command_kind::REPLACE, *live, bits);
        order.head.flags = replace_flag::TOTAL | replace_flag::CUT;
        order.order.quantity_lots = lots;
        add(order);
    }

    // ---- their fields --------------------------------------------------------------------------------------------

    // 0: not whole lots, or too many.
    static i64 lots_of(u32 shares, const Instrument& instrument) {
        const i64 lots = i64{shares} / instrument.units;
        return lots * instrument.units == i64{shares} && lots <= kMaxQuantityLots ? lots : 0;
    }
    // 0: not a price of this instrument.
    static i64 ticks_of(u32 price, const Instrument& instrument) {
        const i64 micros = i64{price} * 100;
        return micros % instrument.tick_micros == 0 ? micros / instrument.tick_micros : 0;
    }
    // The firm: an account of up to four digits, or blank.
    bool account_of(const u8* firm, u32& account) const {
        account = 0;
        std::size_t at = 0;
        while (at < 4 && firm[at] >= '0' && firm[at] <= '9') account = account * 10 + firm[at++] - '0';
        const bool blank = at == 0;
        while (at < 4 && firm[at] == ' ') ++at;
        if (blank) account = who_.account;
        return at == 4 && account != 0;
    }
    bool may_trade(u32 account) const {
        for (const u32 one : who_.accounts) {
            if (one == account) return true;
        }
        return who_.accounts.empty();
    }
    static bool display_of(u8 display, u8& flags) {
        switch (display) {
            case 'A':
            case 'Y': flags = 0; return true;
            case 'N': flags = order_flag::HIDDEN; return true;
            case 'P':
            case 'L': flags = order_flag::POST_ONLY; return true;
            default: return false;
        }
    }
    static bool keeps_time_in_force(u32 seconds, u8 tif) {
        const bool day = seconds == kDay || seconds == kSystemDay;
        return tif == tif::DAY ? day : (tif == tif::AT_OPEN || tif == tif::AT_CLOSE);
    }

    // ---- commands ------------------------------------------------------------------------------------------------

    void add(Command command) {
        command.head.gateway = who_.gateway;
        command.head.session_id = who_.session_id;
        command.head.session_no = next_no_ + in_->commands.size();
        command.order.received_ns = now_ns_;
        in_->commands.push_back(command);
    }
    static Command addressed(u8 kind, const Live& live, u64 bits) {
        Command command = {};
        command.head.kind = kind;
        command.head.account = live.account;
        command.head.client_order_id = bits;
        return command;
    }
    // A REFUSED record that holds a token, so that what it says of it comes back in the stream, wherever the client is.
    void note(Note kind, const Token& token, const Fault& fault) {
        Command command = {};
        command.head.kind = command_kind::REFUSED;
        command.head.account = who_.account;
        command.head.order_id = kTop | u64{static_cast<u8>(kind)} << 55 | u64{fault.reason} << 48 | token.first;
        command.head.client_order_id = token.last;
        command.order.tag = fault.code;
        add(command);
    }
    void refuse(Note kind, const Token& token, const Fault& fault) {
        note(kind, token, fault);
        orders_.use(token, 0);
    }

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
    Who who_;
    std::size_t max_tokens_;
    Orders orders_;
    u64 next_ = 1;  // number of the next message to the client
    Token noted_;
    u64 noted_no_ = 0;  // of the note; 0: none counts
    // Of the call that is under way.
    Read* in_ = nullptr;
    u64 next_no_ = 0;
    i64 now_ns_ = 0;
    std::string out_;
    u64 emit_from_ = 0;
};

}  // namespace lockstep::ouch
