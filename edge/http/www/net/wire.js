// Reads and writes protobuf messages by the tables in messages.js.
//
// Numbers of 64 bits become Number, which is exact up to 2^53: enough for seqs, ids, ticks and lots. Times in ns lose
// their last digits. A fixed64 may also be given as [upper 32 bits, lower 32 bits], for session ids.

import "../vendor/pbf.js"; // names itself in the global scope

const { PbfReader, PbfWriter } = globalThis.Pbf;

const EMPTY = { string: "", bool: false, bytes: new Uint8Array(0) };

const READ = {
  fixed32: (pbf) => pbf.readFixed32(),
  fixed64: (pbf) => pbf.readFixed64(),
  sfixed64: (pbf) => pbf.readSFixed64(),
  uint32: (pbf) => pbf.readVarint(),
  uint64: (pbf) => pbf.readVarint(),
  int32: (pbf) => pbf.readVarint(true),
  bool: (pbf) => pbf.readBoolean(),
  string: (pbf) => pbf.readString(),
  bytes: (pbf) => pbf.readBytes().slice(),
};

const WRITE = {
  fixed32: (pbf, tag, value) => pbf.writeFixed32Field(tag, value),
  fixed64: (pbf, tag, value) => (Array.isArray(value) ? writeHalves(pbf, tag, value) : pbf.writeFixed64Field(tag, value)),
  sfixed64: (pbf, tag, value) => pbf.writeSFixed64Field(tag, value),
  uint32: (pbf, tag, value) => pbf.writeVarintField(tag, value),
  uint64: (pbf, tag, value) => pbf.writeVarintField(tag, value),
  int32: (pbf, tag, value) => pbf.writeVarintField(tag, value),
  bool: (pbf, tag, value) => pbf.writeBooleanField(tag, value),
  string: (pbf, tag, value) => pbf.writeStringField(tag, value),
  bytes: (pbf, tag, value) => pbf.writeBytesField(tag, value),
};

function writeHalves(pbf, tag, [upper, lower]) {
  pbf.writeTag(tag, 1);
  pbf.writeFixed32(lower);
  pbf.writeFixed32(upper);
}

/** A message type: `decode(bytes)` gives an object with every field, `encode(object)` leaves out what is not there. */
export function message(name, fields) {
  const columns = Object.entries(fields).map(([tag, [field, kind, repeated]]) => ({ tag: Number(tag), field, kind, repeated }));
  const byTag = [];
  for (const column of columns) byTag[column.tag] = column;

  function blank() {
    const found = {};
    for (const { field, kind, repeated } of columns) {
      found[field] = repeated ? [] : typeof kind === "string" ? (EMPTY[kind] ?? 0) : null;
    }
    return found;
  }

  function readField(tag, found, pbf) {
    const column = byTag[tag];
    if (column === undefined) return; // of a newer server: the reader passes over it
    const { field, kind, repeated } = column;
    if (typeof kind !== "string") {
      const inner = pbf.readMessage(kind.readField, kind.blank());
      if (repeated) found[field].push(inner);
      else found[field] = inner;
    } else if (!repeated) {
      found[field] = READ[kind](pbf);
    } else if (pbf.type === 2 && kind !== "string" && kind !== "bytes") {
      const end = pbf.readVarint() + pbf.pos;
      while (pbf.pos < end) found[field].push(READ[kind](pbf));
    } else {
      found[field].push(READ[kind](pbf));
    }
  }

  function writeFields(value, pbf) {
    for (const { tag, field, kind, repeated } of columns) {
      const given = value[field];
      if (given === undefined || given === null) continue;
      for (const one of repeated ? given : [given]) {
        if (typeof kind !== "string") pbf.writeMessage(tag, kind.writeFields, one);
        else WRITE[kind](pbf, tag, one);
      }
    }
  }

  return {
    name,
    blank,
    readField,
    writeFields,
    decode: (bytes) => new PbfReader(bytes).readFields(readField, blank()),
    encode(value) {
      const pbf = new PbfWriter();
      writeFields(value, pbf);
      return pbf.finish().slice();
    },
  };
}
