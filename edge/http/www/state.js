// What the page knows, by topic, and who is to be drawn anew when a topic changes. Patches of the worker are applied within
// one animation frame, so everything that one patch changes is painted at once.

import { useEffect, useState } from "./vendor/htm-preact.js";

export const state = {
  link: { state: "connecting", why: "", retryAt: 0 },
  greeting: { cluster: "", feed: "", client: "" },
  stand: { epoch: 0, seq: 0, time: 0 },
  instruments: new Map(),
  quotes: new Map(),
  statistics: new Map(),
  statuses: new Map(),
  book: { instrument: 0, bids: [], asks: [], seq: 0, live: false },
  depth: { instrument: 0, bids: [], asks: [] },
  trades: { instrument: 0, rows: [] },
  candles: { instrument: 0, loading: true },
  accounts: { list: [], account: 0 },
  account: null,
  orders: { rows: [], error: "" },
  session: null,
  history: [], // reports of the session, latest first
  cluster: null,
  // The user's own doing:
  selected: 0,
  candleS: 10,
  view: "chart", // of a phone: which part is shown
  draft: null, // what a click on the ladder puts into the ticket
  toasts: [],
};

const MOST_HISTORY = 400;
const listeners = new Map();
const changed = new Set();
let drawing = false;

/** Calls `listener` within the next frame after the topic has changed; returns what ends that. */
export function onChange(topic, listener) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  return () => listeners.get(topic).delete(listener);
}

/** A component that calls this is drawn anew when one of the topics changes. */
export function useTopics(...topics) {
  const [, draw] = useState(0);
  useEffect(() => {
    const redraw = () => draw((count) => count + 1);
    const ends = topics.map((topic) => onChange(topic, redraw));
    return () => ends.forEach((end) => end());
  }, topics);
  return state;
}

export function set(topic, value) {
  state[topic] = value;
  touch(topic);
}

function touch(topic) {
  changed.add(topic);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(flush);
}

function flush() {
  drawing = false;
  const now = [...changed];
  changed.clear();
  const called = new Set();
  for (const topic of now) {
    for (const listener of listeners.get(topic) ?? []) {
      if (!called.has(listener)) listener(state);
      called.add(listener);
    }
  }
}

/** Takes a patch of the worker; `done` is called when it is painted. */
export function applyPatch(patch, done) {
  for (const [topic, value] of Object.entries(patch)) {
    if (topic === "reports") takeReports(value);
    else set(topic, value);
  }
  if (patch.book && !state.selected) set("selected", patch.book.instrument);
  requestAnimationFrame(() => done());
}

function takeReports({ rows, whole }) {
  const latest = rows.slice().reverse();
  set("history", whole ? latest : [...latest, ...state.history].slice(0, MOST_HISTORY));
}
