// The page's book: the checksum's test vectors of docs/feed.md, and that it never shows what it can't vouch for.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Book, Gap } from "../../../../edge/http/www/market/book.js";
import { bookChecksum } from "../../../../edge/http/www/market/checksum.js";

const level = (side, price, lots, orders) => ({ side, price_ticks: price, quantity_lots: lots, orders });
const rung = (price, lots, orders) => ({ price, lots, orders });

test("checksums are those of the feed's test vectors", () => {
  assert.equal(bookChecksum([], []), 0);
  assert.equal(bookChecksum([rung(99, 5, 1)], [rung(101, 7, 2)]), 0xdc70e0d7);
  const twelve = [...Array(12).keys()];
  const bids = twelve.map((i) => rung(100 - i, 10 + i, 1 + i));
  const asks = twelve.map((i) => rung(101 + i, 20 + i, 2 + i));
  assert.equal(bookChecksum(bids, asks), 0x8ef620db);
});

test("levels come, change and go, each in its place", () => {
  const book = new Book();
  const sum = (bids, asks) => bookChecksum(bids, asks);
  const one = [rung(99, 5, 1)];
  book.apply({ snapshot: true, epoch: 1, last_seq: 5, previous_last_seq: 0, levels: [level(1, 99, 5, 1)], checksum: sum(one, []) });
  const two = [rung(100, 2, 1), rung(99, 3, 1)];
  book.apply({ epoch: 1, last_seq: 7, previous_last_seq: 5, levels: [level(1, 100, 2, 1), level(1, 99, 3, 1), level(2, 102, 1, 1)], checksum: sum(two, [rung(102, 1, 1)]) });
  assert.deepEqual(book.bids, two);
  book.apply({ epoch: 2, last_seq: 8, previous_last_seq: 7, levels: [level(1, 100, 0, 0), level(2, 101, 4, 1)], checksum: sum([rung(99, 3, 1)], [rung(101, 4, 1), rung(102, 1, 1)]) });
  assert.deepEqual(book.asks.map(({ price }) => price), [101, 102]);
  assert.ok(book.live);
});

test("a gap, a wrong checksum and a lower epoch are told, and the book is not live", () => {
  const snapshot = { snapshot: true, epoch: 2, last_seq: 5, previous_last_seq: 0, levels: [], checksum: 0 };
  for (const update of [
    { epoch: 2, last_seq: 9, previous_last_seq: 6, levels: [], checksum: 0 },
    { epoch: 2, last_seq: 9, previous_last_seq: 5, levels: [level(1, 99, 5, 1)], checksum: 1 },
  ]) {
    const book = new Book();
    book.apply(snapshot);
    assert.throws(() => book.apply(update), Gap);
    assert.equal(book.live, false);
  }
  const book = new Book();
  book.apply(snapshot);
  assert.throws(() => book.apply({ epoch: 1, last_seq: 9, previous_last_seq: 5, levels: [], checksum: 0 }), Gap);
  assert.ok(book.live);
});
