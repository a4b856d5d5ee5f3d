// The price levels of one instrument, kept from a feed's snapshot and updates (docs/feed.md), and checked.

import { Side } from "../net/messages.js";
import { bookChecksum } from "./checksum.js";

export class Gap extends Error {}

export class Book {
  constructor() {
    this.bids = [];
    this.asks = [];
    this.seq = 0;
    this.epoch = 0;
    this.live = false; // what is shown is the book as of `seq`
  }

  /** Takes one update. Throws Gap: something was missed, or the checksum is wrong; then nothing of it is to be believed. */
  apply(update) {
    if (update.epoch < this.epoch) throw new Gap("an update of a lower epoch");
    if (update.snapshot) {
      this.bids = [];
      this.asks = [];
    } else if (!this.live || update.previous_last_seq !== this.seq) {
      this.live = false;
      throw new Gap("an update does not follow the one before");
    }
    for (const level of update.levels) this.#set(level);
    this.seq = update.last_seq;
    this.epoch = update.epoch;
    this.live = bookChecksum(this.bids, this.asks) === update.checksum;
    if (!this.live) throw new Gap("the book's checksum is wrong");
  }

  #set({ side, price_ticks: price, quantity_lots: lots, orders }) {
    const levels = side === Side.BUY ? this.bids : this.asks;
    const sign = side === Side.BUY ? -1 : 1;
    let low = 0;
    let high = levels.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((levels[middle].price - price) * sign < 0) low = middle + 1;
      else high = middle;
    }
    const found = low < levels.length && levels[low].price === price;
    if (orders === 0) {
      if (found) levels.splice(low, 1);
    } else {
      levels.splice(low, found ? 1 : 0, { price, lots, orders });
    }
  }
}

/** Points of a depth chart: per side [price, lots up to there], at most `most`, within `reach` (a share) of the middle. */
export function depthCurve(book, most = 160, reach = 0.05) {
  if (!book.bids.length || !book.asks.length) return { bids: [], asks: [] };
  const middle = (book.bids[0].price + book.asks[0].price) / 2;
  const side = (levels) => {
    const points = [];
    let total = 0;
    for (const { price, lots } of levels) {
      if (Math.abs(price - middle) > middle * reach || points.length >= most) break;
      total += lots;
      points.push([price, total]);
    }
    return points;
  };
  return { bids: side(book.bids), asks: side(book.asks) };
}
