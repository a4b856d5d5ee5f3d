// The page's side of its worker: what the user asks for, and what became of it.

import { applyPatch, set, state } from "./state.js";

const worker = new Worker("/worker.js", { type: "module", name: "lockstep" });
const waiting = new Map();
const TOKEN_KEY = "lockstep-token";
let lastId = 0;

worker.onmessage = ({ data }) => {
  if (data.patch) applyPatch(data.patch, () => worker.postMessage({ do: "painted" }));
  if (data.taken) {
    waiting.get(data.taken.id)?.(data.taken);
    waiting.delete(data.taken.id);
  }
};

worker.onerror = (event) => {
  set("link", { state: "broken", why: `the page's worker failed: ${event.message}`, retryAt: 0 });
};

export function select(instrument) {
  set("selected", instrument);
  set("draft", null);
  worker.postMessage({ do: "select", instrument });
}

export function setCandles(seconds) {
  set("candleS", seconds);
  worker.postMessage({ do: "candles", seconds });
}

export function chooseAccount(account) {
  worker.postMessage({ do: "account", account });
}

/** The token lives as long as this tab, and is sent in a message: no address, no log has it. */
export function signIn(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
  worker.postMessage({ do: "signIn", token });
}

/** The token of before a reload, once. */
export function signInAgain() {
  const token = sessionStorage.getItem(TOKEN_KEY);
  sessionStorage.removeItem(TOKEN_KEY);
  if (token) signIn(token);
}

export function renewSession() {
  worker.postMessage({ do: "renew" });
}

/** A Command without its number. Resolves to {no, why}: its number, or null and why it was not taken. */
export function submit(command) {
  const id = ++lastId;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker.postMessage({ do: "command", id, command });
  });
}

export function cancelOrder(order) {
  return submit({ cancel: { order: { account: order.account, order_id: order.order_id } } });
}

export function cancelAll(instrument = 0) {
  return submit({ mass_cancel: { account: state.accounts.account, instrument } });
}

export function replaceOrder(order, { price, lots, stop }) {
  const change = { order: { account: order.account, order_id: order.order_id }, price_ticks: price, quantity_lots: lots };
  if (stop) change.stop_price_ticks = stop;
  return submit({ replace: change });
}
