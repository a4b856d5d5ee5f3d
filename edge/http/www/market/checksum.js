// CRC32C (RFC 3720) of a book's best ten levels, as docs/feed.md says.

const TABLE = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

const LEVEL_BYTES = 20;
const MOST_LEVELS = 10;
const scratch = new DataView(new ArrayBuffer(2 * MOST_LEVELS * LEVEL_BYTES));

function crc32c(length) {
  let value = 0xffffffff;
  for (let at = 0; at < length; at++) value = TABLE[(value ^ scratch.getUint8(at)) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function put64(at, number) {
  scratch.setUint32(at, number >>> 0, true);
  scratch.setInt32(at + 4, Math.floor(number / 0x100000000), true);
}

/** `bids`, `asks`: levels {price, lots, orders}, best first. */
export function bookChecksum(bids, asks) {
  let at = 0;
  for (const side of [bids, asks]) {
    for (let row = 0; row < side.length && row < MOST_LEVELS; row++, at += LEVEL_BYTES) {
      put64(at, side[row].price);
      put64(at + 8, side[row].lots);
      scratch.setUint32(at + 16, side[row].orders, true);
    }
  }
  return crc32c(at);
}
