// A client's OUCH session: its packets to COMMAND records, its EVENT records to packets.
//
// `edge/soup/codec.py` is the same in plain Python and says why; tests hold the two together byte by byte.
#pragma once

#include <string>
#include <utility>

#include "reader.hpp"
#include "writer.hpp"

namespace lockstep::ouch {

class Codec {
public:
    Codec(const Instruments& instruments, Who who, std::size_t max_tokens, u64 seed)
        : who_(std::move(who)), orders_(seed), reader_(instruments, orders_, who_, max_tokens), writer_(instruments, orders_) {}
    // Its halves refer to what they share.
    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;

    u64 next_message() const { return writer_.next_message(); }
    std::size_t used() const { return orders_.used(); }
    std::size_t alive() const { return orders_.alive(); }

    // See `Reader::decode`.
    Read decode(const u8* data, std::size_t size, u64 next_no, std::size_t room, i64 now_ns) {
        return reader_.decode(data, size, next_no, room, now_ns);
    }
    // See `Writer::encode`.
    std::string encode(const Event* rows, const u8* legs, std::size_t count, u64 emit_from) {
        return writer_.encode(rows, legs, count, emit_from);
    }

private:
    Who who_;
    Orders orders_;
    Reader reader_;
    Writer writer_;
};

}  // namespace lockstep::ouch
