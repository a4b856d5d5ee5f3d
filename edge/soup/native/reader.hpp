// What a client says: its packets to COMMAND records. `codec.hpp` is the whole.
#pragma once

#include <vector>

#include "tables.hpp"
#include "wire.hpp"

namespace lockstep::ouch {

// Why reading stopped. The numbers are those of `edge/soup/ouch.py`, `Halt`.
enum class Halt : u8 { NONE = 0, LOGOUT, BAD_LENGTH, UNKNOWN_PACKET, UNKNOWN_MESSAGE, BAD_TOKEN, FULL };

inline constexpr std::size_t kMaxPacket = 1024;

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

class Reader {
public:
    Reader(const Instruments& instruments, Orders& orders, const Who& who, std::size_t max_tokens)
        : instruments_(instruments), orders_(orders), who_(who), max_tokens_(max_tokens) {}

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

    const Instruments& instruments_;
    Orders& orders_;
    const Who& who_;
    std::size_t max_tokens_;
    // Of the call that is under way.
    Read* in_ = nullptr;
    u64 next_no_ = 0;
    i64 now_ns_ = 0;
};

}  // namespace lockstep::ouch
