// The user's side: accounts, open orders, what has happened to them. Asked from the cluster, and kept current by the
// session's reports in between.

import { EventKind } from "../net/messages.js";

const REFRESH_MS = 4_000;
const SOON_MS = 150;
const PAGE_LIMIT = 200;
const MOST_ORDERS = 1_000;

export class Own {
  constructor(questions, dirty) {
    this._questions = questions;
    this.dirty = dirty;
    this.accounts = [];
    this.account = 0;
    this.details = null;
    this.orders = new Map();
    this.ordersError = "";
    this._asOf = 0;
    this._timer = 0;
    this._recent = []; // reports since the last list was asked for
    this._online = false;
    this._asking = false;
  }

  async connected() {
    this._online = true;
    try {
      const reply = await this._questions.ask({ accounts: { limit: 150 } });
      this.accounts = reply.accounts.map(({ account, name }) => ({ account, name }));
      this.dirty.add("accounts");
      if (!this.account && this.accounts.length) this.select(preferred(this.accounts));
      else this._refreshSoon(0);
      if (!this.accounts.length) this._later(() => this.connected(), 1_000);
    } catch (error) {
      this.ordersError = error.text;
      this.dirty.add("orders");
      this._later(() => this.connected(), 1_000);
    }
    this.dirty.wake();
  }

  disconnected() {
    this._online = false;
    clearTimeout(this._timer);
  }

  select(account) {
    this.account = account;
    this.details = null;
    this.orders = new Map();
    this._asOf = 0;
    for (const topic of ["account", "orders", "accounts"]) this.dirty.add(topic);
    this._refreshSoon(0);
  }

  /** The session's reports. */
  onRows(rows) {
    this._recent.push(...rows);
    for (const row of rows) this._apply(row);
    this.dirty.add("orders");
    this._refreshSoon(SOON_MS);
  }

  _later(action, pause) {
    if (!this._online) return;
    clearTimeout(this._timer);
    this._due = Date.now() + pause;
    this._timer = setTimeout(action, pause);
  }

  _refreshSoon(pause) {
    if (this._asking || (this._due > Date.now() && this._due <= Date.now() + pause)) return;
    this._later(() => this._refresh(), pause);
  }

  async _refresh() {
    const { account } = this;
    if (!account || this._asking) return;
    this._asking = true;
    this._recent = [];
    try {
      const details = await this._questions.ask({ account: { account } });
      const orders = await this._listOrders(account);
      if (account === this.account) this._settle(details, orders);
      this.ordersError = "";
    } catch (error) {
      this.ordersError = error.text;
      this.dirty.add("orders");
    }
    this._asking = false;
    this._later(() => this._refresh(), account === this.account ? (this._recent.length ? SOON_MS : REFRESH_MS) : 0);
    this.dirty.wake();
  }

  async _listOrders(account) {
    const found = { rows: [], seq: 0 };
    let cursor = 0;
    do {
      const reply = await this._questions.ask({ open_orders: { account, cursor, limit: PAGE_LIMIT, min_seq: found.seq } });
      found.rows.push(...reply.orders);
      // What a page lacks of a later one is in the reports behind the first page's seq.
      found.seq ||= reply.stamp.seq;
      cursor = reply.next_cursor;
    } while (cursor && found.rows.length < MOST_ORDERS);
    return found;
  }

  _settle(details, { rows, seq }) {
    this.details = { ...details.account, asOf: details.stamp.seq };
    this.orders = new Map(rows.map((row) => [row.order_id, { ...row }]));
    this._asOf = seq;
    for (const row of this._recent) this._apply(row);
    this.dirty.add("account");
    this.dirty.add("orders");
  }

  _apply(row) {
    if (row.account !== this.account || row.event_id.seq <= this._asOf) return;
    const order = this.orders.get(row.order_id);
    switch (row.kind) {
      case EventKind.ACCEPTED:
        // Terms that a report does not carry come with the next list.
        this.orders.set(row.order_id, { ...row, ...order, leaves_lots: row.leaves_lots || row.quantity_lots });
        break;
      case EventKind.TRADE:
      case EventKind.REDUCED:
      case EventKind.REPLACED:
        if (row.leaves_lots === 0) this.orders.delete(row.order_id);
        else if (order) {
          order.leaves_lots = row.leaves_lots;
          if (row.kind === EventKind.REPLACED) order.price_ticks = row.price_ticks;
        }
        break;
      case EventKind.CANCELED:
        this.orders.delete(row.order_id);
        break;
    }
  }
}

/** The demo market's account for visitors, else the first one. */
function preferred(accounts) {
  return (accounts.find(({ name }) => name === "demo") ?? accounts[0]).account;
}
