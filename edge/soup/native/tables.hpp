// What the OUCH door looks up: instruments by name, order tokens, and what is alive of a session's orders.
#pragma once

#include <array>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "lockstep/codes.hpp"
#include "lockstep/records.hpp"

namespace lockstep::ouch {

// ---- numbers of the wire: big endian -----------------------------------------------------------------------------

inline u64 read_big(const u8* from, std::size_t bytes) {
    u64 value = 0;
    for (std::size_t at = 0; at < bytes; ++at) value = value << 8 | from[at];
    return value;
}
inline u32 read_u32(const u8* from) {
    return static_cast<u32>(read_big(from, 4));
}
inline void write_big(u8* to, u64 value, std::size_t bytes) {
    for (std::size_t at = bytes; at-- > 0; value >>= 8) to[at] = static_cast<u8>(value);
}

// ---- tokens ------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kTokenBytes = 14;
inline constexpr u64 kTop = u64{1} << 63;

// A client's name for an order: 14 characters, the first six in `first`, the others in `last`.
struct Token {
    u64 first = 0;
    u64 last = 0;

    static Token read(const u8* from) { return {read_big(from, 6), read_big(from + 6, 8)}; }
    void write(u8* to) const {
        write_big(to, first, 6);
        write_big(to + 6, last, 8);
    }
    bool operator==(const Token&) const = default;
};

inline bool is_printable(const u8* text, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; ++at) {
        if (text[at] < 0x20 || text[at] > 0x7E) return false;
    }
    return true;
}
inline bool is_token(const u8* text) {
    static constexpr char kBlank[] = "              ";
    return is_printable(text, kTokenBytes) && std::memcmp(text, kBlank, kTokenBytes) != 0;
}

// An order is known to the engine by 64 bits. Most tokens fit them: twelve of ` 0-9A-Z` and two blanks, or four of
// those and ten digits. Of any other the bits are a hash, marked by the top one, and a note in the stream holds the token.
inline constexpr u64 kLetters = 37;
inline constexpr u64 kTwelve = 6'582'952'005'840'035'281;  // 37^12
inline constexpr u64 kTenDigits = 10'000'000'000;
inline constexpr u64 kPackedEnd = kTwelve + 1'874'161 * kTenDigits;  // 37^4

inline u64 mixed(u64 value) {
    value = (value ^ value >> 30) * 0xBF58'476D'1CE4'E5B9;
    value = (value ^ value >> 27) * 0x94D0'49BB'1331'11EB;
    return value ^ value >> 31;
}
inline u64 letter(u8 character) {
    if (character == ' ') return 0;
    if (character >= '0' && character <= '9') return u64{character} - '0' + 1;
    if (character >= 'A' && character <= 'Z') return u64{character} - 'A' + 11;
    return kLetters;
}
inline u8 character_of(u64 letter) {
    static constexpr char kAlphabet[] = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return static_cast<u8>(kAlphabet[letter]);
}

// The bits by which the engine knows an order of this token; never 0.
inline u64 packed(const u8* text) {
    const bool short_one = text[12] == ' ' && text[13] == ' ';
    const std::size_t letters = short_one ? 12 : 4;
    u64 value = 0, digits = 0;
    bool fits = true;
    for (std::size_t at = 0; at < letters; ++at) {
        const u64 one = letter(text[at]);
        fits = fits && one < kLetters;
        value = value * kLetters + one;
    }
    for (std::size_t at = letters; !short_one && at < kTokenBytes; ++at) {
        fits = fits && text[at] >= '0' && text[at] <= '9';
        digits = digits * 10 + (u64{text[at]} - '0');
    }
    if (fits) return short_one ? value : kTwelve + value * kTenDigits + digits;
    const Token token = Token::read(text);
    return kTop | mixed((token.first * 0x9E37'79B9'7F4A'7C15) ^ mixed(token.last));
}

template <std::size_t count>
inline void write_letters(u64 value, u8* text) {
    for (std::size_t at = count; at > 0; --at, value /= kLetters) text[at - 1] = character_of(value % kLetters);
}

// The token of these bits; false: they are those of no token that fits.
inline bool unpack(u64 value, u8* text) {
    if (value == 0 || value >= kPackedEnd) return false;
    if (value < kTwelve) {
        write_letters<12>(value, text);
        text[12] = text[13] = ' ';
        return true;
    }
    write_letters<4>((value - kTwelve) / kTenDigits, text);
    u64 digits = (value - kTwelve) % kTenDigits;
    for (std::size_t at = kTokenBytes; at > 4; --at, digits /= 10) text[at - 1] = static_cast<u8>('0' + digits % 10);
    return true;
}

// Clients choose the keys: without a seed they could choose those that collide.
struct Hash {
    u64 seed;
    std::size_t operator()(const Token& token) const { return mixed((token.first + seed) ^ mixed(token.last + seed)); }
    std::size_t operator()(u64 bits) const { return mixed(bits + seed); }
};

// ---- instruments -------------------------------------------------------------------------------------------------

struct Instrument {
    std::array<u8, 8> name;
    i64 tick_micros;
    i64 units;  // of one lot
};

// Those that can be spoken of here: a name of at most eight characters, prices in whole ten-thousandths.
class Instruments {
public:
    bool define(u32 id, std::string_view name, i64 tick_micros, i64 units) {
        if (name.empty() || name.size() > 8 || tick_micros <= 0 || tick_micros % 100 != 0) return false;
        if (units < 1 || units > UINT32_MAX) return false;
        std::array<u8, 8> padded;
        padded.fill(' ');
        for (std::size_t at = 0; at < name.size(); ++at) {
            padded[at] = static_cast<u8>(name[at]);
            if (padded[at] <= ' ' || padded[at] > 0x7E) return false;
        }
        by_id_[id] = {padded, tick_micros, units};
        by_name_.try_emplace(read_big(padded.data(), 8), id);
        return true;
    }
    const Instrument* find(u32 id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : &found->second;
    }
    // 0: there is none of that name.
    u32 named(const u8* name) const {
        const auto found = by_name_.find(read_big(name, 8));
        return found == by_name_.end() ? 0 : found->second;
    }
    std::size_t size() const { return by_id_.size(); }

private:
    std::unordered_map<u32, Instrument> by_id_;
    std::unordered_map<u64, u32> by_name_;
};

// ---- orders ------------------------------------------------------------------------------------------------------

// What has to be known of an order while it is alive.
struct Live {
    Token token;
    Token pending;  // of a replace that is under way
    u32 account = 0;
    u32 instrument = 0;
    u8 side = 0;
    u8 tif = 0;
    u8 flags = 0;
};

// All tokens that a session has used, with the bits of their orders (0: of none), and the orders that are alive, by those.
class Orders {
public:
    explicit Orders(u64 seed) : tokens_(0, Hash{seed}), live_(0, Hash{seed}) {}

    std::size_t used() const { return tokens_.size(); }
    std::size_t alive() const { return live_.size(); }
    bool is_used(const Token& token) const { return tokens_.contains(token); }
    void use(const Token& token, u64 bits) { tokens_[token] = bits; }
    Live* find(u64 bits) {
        const auto found = live_.find(bits);
        return found == live_.end() ? nullptr : &found->second;
    }
    Live& open(u64 bits) { return live_[bits]; }
    void end(u64 bits) { live_.erase(bits); }

    // The live order that a client means by a token, and its bits; nullptr: none.
    Live* named(const Token& token, u64& bits) {
        const auto found = tokens_.find(token);
        if (found == tokens_.end() || found->second == 0) return nullptr;
        bits = found->second;
        Live* live = find(bits);
        return live != nullptr && (live->token == token || live->pending == token) ? live : nullptr;
    }

private:
    std::unordered_map<Token, u64, Hash> tokens_;
    std::unordered_map<u64, Live, Hash> live_;
};

}  // namespace lockstep::ouch
