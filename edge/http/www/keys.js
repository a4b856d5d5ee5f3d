// Keys that do something wherever the user is, but not while he types.

import { select } from "./client.js";
import { set, state } from "./state.js";
import { OrderType, Side } from "./net/messages.js";
import { cancelEverything } from "./ui/blotter.js";
import { focusSide } from "./ui/ticket.js";

export const KEYS = [
  ["B", "Buy: go to the quantity"],
  ["S", "Sell: go to the quantity"],
  ["P", "Go to the price; ↑ ↓ step by a tick, with Shift by ten"],
  ["L / M", "Limit or market order"],
  ["Enter", "Send the order, from any field of the ticket"],
  ["X", "Cancel all open orders of the account"],
  ["J / K", "Next or previous instrument"],
  ["/", "Find an instrument"],
  ["T", "Dark or light"],
  ["?", "These keys"],
];

function step(by) {
  const ids = [...state.instruments.keys()];
  if (ids.length) select(ids[(ids.indexOf(state.selected) + by + ids.length) % ids.length]);
}

/** `actions`: {theme, keys}. Returns what ends it. */
export function listen(actions) {
  const does = {
    b: () => focusSide(Side.BUY),
    s: () => focusSide(Side.SELL),
    p: () => document.getElementById("price")?.focus(),
    l: () => set("draft", { type: OrderType.LIMIT, focus: "quantity" }),
    m: () => set("draft", { type: OrderType.MARKET, focus: "quantity" }),
    x: cancelEverything,
    j: () => step(1),
    k: () => step(-1),
    "/": () => document.getElementById("search")?.focus(),
    t: actions.theme,
    "?": actions.keys,
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") event.target.blur?.();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, [role=dialog]")) return;
    const action = does[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", onKeyDown);
  return () => document.removeEventListener("keydown", onKeyDown);
}
