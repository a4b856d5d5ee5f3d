// What the page follows of the market: quotes, statistics and phases of all instruments, and of the one that is looked at
// its book, its trades and its candles. Takes the feed's frames; what has changed since the last patch is in `dirty`.

import { Feed } from "../net/messages.js";
import { Book, depthCurve, Gap } from "./book.js";

const SHOWN_LEVELS = 40;
const MOST_TRADES = 80;
const DEPTH_MS = 250;
const CANDLES = 600;

export class Market {
  constructor(send, questions, dirty) {
    this._send = send;
    this._questions = questions;
    this.dirty = dirty;
    this.instruments = new Map();
    this.quotes = new Map();
    this.statistics = new Map();
    this.statuses = new Map();
    this.selected = 0;
    this.candleS = 10;
    this.epoch = 0;
    this.seq = 0;
    this.time = 0;
    this._clear();
  }

  _clear() {
    this.book = new Book();
    this.trades = [];
    this.freshTrades = [];
    this.candles = null;
    this._tradesAt = null;
    this._depthAt = 0;
    this._asked = 0;
  }

  /** Subscribes to everything, where it stands. */
  connected() {
    for (const feed of [Feed.INSTRUMENTS, Feed.STATUS, Feed.L1]) this._send({ feed: { subscribe: { feed } } });
    this._send({ feed: { subscribe: { feed: Feed.STATISTICS, interval_ms: 1000 } } });
    if (this.selected) this._follow(true);
  }

  disconnected() {
    this.book.live = false;
    this.dirty.add("book");
  }

  select(instrument) {
    if (instrument === this.selected) return;
    if (this.selected) this._unfollow();
    this.selected = instrument;
    this._clear();
    this._follow(false);
    for (const topic of ["book", "trades", "candles", "depth"]) this.dirty.add(topic);
  }

  setCandles(seconds) {
    if (this.selected && this.candles) this._send({ feed: { unsubscribe: { feed: Feed.CANDLES, instruments: [this.selected] } } });
    this.candleS = seconds;
    this._followCandles();
  }

  _unfollow() {
    for (const feed of [Feed.L2, Feed.TRADES, Feed.CANDLES]) {
      this._send({ feed: { unsubscribe: { feed, instruments: [this.selected] } } });
    }
  }

  _follow(again) {
    const book = again && this.book.seq ? [{ instrument: this.selected, epoch: this.book.epoch, seq: this.book.seq }] : [];
    const trades = again && this._tradesAt ? [{ instrument: this.selected, ...this._tradesAt }] : [];
    if (again && this.book.seq) this.book.live = true; // it goes on, or a snapshot comes
    this._subscribe({ feed: Feed.L2, depth: 0, interval_ms: 10, recover: book });
    this._subscribe({ feed: Feed.TRADES, interval_ms: 10, recover: trades });
    this._followCandles();
  }

  _subscribe(words) {
    this._send({ feed: { subscribe: { instruments: [this.selected], ...words } } });
  }

  async _followCandles() {
    const asked = ++this._asked;
    const { selected: instrument, candleS } = this;
    if (!instrument) return;
    this.candles = null;
    this.dirty.add("candles");
    this._subscribe({ feed: Feed.CANDLES, candle_s: candleS, interval_ms: 100 });
    try {
      const reply = await this._questions.ask({ candles: { instrument, candle_s: candleS, limit: CANDLES } });
      if (asked !== this._asked) return;
      this.candles = { instrument, candleS, all: reply.candles.map(bar), fresh: [] };
      this.dirty.add("candles");
      this.dirty.wake();
    } catch {
      if (asked === this._asked) setTimeout(() => asked === this._asked && this._followCandles(), 1_000);
    }
  }

  onFrame({ updates, heartbeat }) {
    if (heartbeat) this._stand(heartbeat.epoch, heartbeat.seq, heartbeat.timestamp_ns);
    for (const update of updates) {
      this._stand(update.epoch, update.last_seq, update.timestamp_ns);
      this._onUpdate(update);
    }
  }

  _stand(epoch, seq, time) {
    this.epoch = Math.max(this.epoch, epoch);
    this.seq = Math.max(this.seq, seq);
    this.time = Math.max(this.time, time / 1e6);
    this.dirty.add("stand");
  }

  _onUpdate(update) {
    const { feed, instrument } = update;
    if (feed === Feed.L1) this._note(this.quotes, "quotes", instrument, update.best);
    else if (feed === Feed.STATISTICS) this._note(this.statistics, "statistics", instrument, update.statistics);
    else if (feed === Feed.STATUS) this._note(this.statuses, "statuses", instrument, update.status);
    else if (feed === Feed.INSTRUMENTS) this._define(instrument, update.definition);
    else if (instrument !== this.selected) return;
    else if (feed === Feed.L2) this._onBook(update);
    else if (feed === Feed.TRADES) this._onTrades(update);
    else if (feed === Feed.CANDLES) this._onCandles(update);
  }

  _note(map, topic, instrument, value) {
    map.set(instrument, value);
    this.dirty.add(topic);
  }

  _define(instrument, { symbol, tick_micros, lot_units }) {
    this.instruments.set(instrument, { id: instrument, symbol, tickMicros: tick_micros, lotUnits: lot_units });
    this.dirty.add("instruments");
    if (!this.selected) this.select(instrument);
  }

  _onBook(update) {
    try {
      this.book.apply(update);
    } catch (error) {
      if (!(error instanceof Gap)) throw error;
      // A stale book is never shown as good: it is empty of meaning until the snapshot comes.
      this._send({ feed: { unsubscribe: { feed: Feed.L2, instruments: [this.selected] } } });
      this._subscribe({ feed: Feed.L2, depth: 0, interval_ms: 10 });
    }
    this.dirty.add("book");
    const now = Date.now();
    if (now - this._depthAt >= DEPTH_MS) {
      this._depthAt = now;
      this.dirty.add("depth");
    }
  }

  _onTrades(update) {
    this._tradesAt = { epoch: update.epoch, seq: update.last_seq };
    const rows = update.trades.map((one) => ({
      id: `${one.seq}.${one.index}`,
      price: one.price_ticks,
      lots: one.quantity_lots,
      side: one.aggressor,
      auction: one.auction,
      time: one.timestamp_ns / 1e6,
    }));
    if (update.snapshot) {
      this.trades = [];
      this.freshTrades = [];
    }
    rows.reverse();
    this.trades = [...rows, ...this.trades].slice(0, MOST_TRADES);
    this.dirty.add("trades");
  }

  _onCandles(update) {
    if (this.candles === null || update.candle_s !== this.candles.candleS) return;
    this.candles.fresh.push(...update.candles.map(bar));
    this.dirty.add("candles");
  }

  /** What the page shows of a topic, as it is now. */
  take(topic) {
    switch (topic) {
      case "book": {
        const { bids, asks, seq, live } = this.book;
        return { instrument: this.selected, bids: bids.slice(0, SHOWN_LEVELS), asks: asks.slice(0, SHOWN_LEVELS), seq, live };
      }
      case "depth":
        return { instrument: this.selected, ...depthCurve(this.book) };
      case "trades":
        return { instrument: this.selected, rows: this.trades };
      case "candles":
        return this._takeCandles();
      case "stand":
        return { epoch: this.epoch, seq: this.seq, time: this.time };
      default:
        return new Map(this[topic]);
    }
  }

  _takeCandles() {
    const { candles } = this;
    if (candles === null) return { instrument: this.selected, candleS: this.candleS, loading: true };
    const { instrument, candleS, all, fresh } = candles;
    candles.all = null;
    candles.fresh = [];
    return { instrument, candleS, all, fresh };
  }
}

function bar(candle) {
  return {
    time: Math.round(candle.open_ns / 1e9),
    open: candle.open_ticks,
    high: candle.high_ticks,
    low: candle.low_ticks,
    close: candle.close_ticks,
    volume: candle.volume_lots,
  };
}
