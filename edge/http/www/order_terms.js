// What a filled-in ticket asks for: the NewOrder, or what is missing. Pure. The cluster checks everything again.

import { OrderType, TimeInForce } from "./net/messages.js";
import { ticksOf, unitMicros } from "./format.js";
import { TIFS_OF } from "./words.js";

export const POST_ONLY = 1;
export const HIDDEN = 2;

export const NEEDS_PRICE = new Set([OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO]);
export const NEEDS_STOP = new Set([OrderType.STOP, OrderType.STOP_LIMIT, OrderType.OCO]);
const RESTING = new Set([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD]);

export const BLANK = {
  side: 1,
  type: OrderType.LIMIT,
  tif: TimeInForce.GTC,
  stp: 0,
  quantity: "",
  price: "",
  stop: "",
  trail: "",
  display: "",
  minimum: "",
  expires: "",
  postOnly: false,
  hidden: false,
};

/** Which extra terms this kind of order may have. */
export function may({ type, tif }) {
  const limit = type === OrderType.LIMIT;
  const rests = RESTING.has(tif);
  return {
    postOnly: limit && rests,
    hidden: limit && rests,
    display: limit && rests,
    minimum: (limit && (rests || tif === TimeInForce.IOC)) || (type === OrderType.MARKET && [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC].includes(tif)),
    protection: type === OrderType.MARKET,
  };
}

/** The form with a time in force that its type has. */
export function settled(form) {
  const tifs = TIFS_OF[form.type];
  return tifs.includes(form.tif) ? form : { ...form, tif: tifs.includes(TimeInForce.GTC) && form.type !== OrderType.MARKET ? TimeInForce.GTC : tifs[0] };
}

function lotsOf(text) {
  const cleaned = String(text).replaceAll(",", "").trim();
  return /^\d+$/.test(cleaned) && Number(cleaned) > 0 ? Number(cleaned) : NaN;
}

/**
 * {order} or {wrong: {field, text}}. `instrument`: {id, tickMicros, lotUnits}; `nextId`: the client order id.
 */
export function orderOf(form, { account, instrument, nextId, now }) {
  const wrong = (field, text) => ({ wrong: { field, text } });
  const allowed = may(form);
  const order = {
    account,
    instrument: instrument.id,
    side: form.side,
    order_type: form.type,
    tif: form.tif,
    stp: Number(form.stp),
    client_order_id: nextId,
    quantity_lots: lotsOf(form.quantity),
  };
  if (Number.isNaN(order.quantity_lots)) return wrong("quantity", form.quantity === "" ? "" : "A whole number of lots, at least 1.");
  const prices = [
    ["price", "price_ticks", NEEDS_PRICE.has(form.type), allowed.protection],
    ["stop", "stop_price_ticks", NEEDS_STOP.has(form.type), false],
    ["trail", "trail_ticks", form.type === OrderType.TRAILING_STOP, false],
  ];
  for (const [field, column, needed, possible] of prices) {
    if (!needed && !(possible && form[field] !== "")) continue;
    const ticks = ticksOf(instrument, form[field]);
    if (Number.isNaN(ticks) || ticks < 1) {
      return wrong(field, form[field] === "" ? "" : `A multiple of ${instrument.tickMicros / 1e6}.`);
    }
    order[column] = ticks;
  }
  if (form.tif === TimeInForce.GTD) {
    const at = Date.parse(form.expires);
    if (!(at > now)) return wrong("expires", form.expires ? "A time that is still to come." : "");
    order.expire_ns = at * 1e6;
  }
  for (const [field, column] of [["display", "display_lots"], ["minimum", "min_lots"]]) {
    if (!allowed[field] || form[field] === "") continue;
    const lots = lotsOf(form[field]);
    if (Number.isNaN(lots) || lots > order.quantity_lots) return wrong(field, "At most the quantity.");
    order[column] = lots;
  }
  order.flags = (allowed.postOnly && form.postOnly ? POST_ONLY : 0) | (allowed.hidden && form.hidden ? HIDDEN : 0);
  return { order };
}

/** What it is worth at its price, or at the best opposite one; micros, null where neither is known. */
export function worthMicros(order, instrument, quote) {
  const best = quote && (order.side === 1 ? quote.ask_orders && quote.ask_price_ticks : quote.bid_orders && quote.bid_price_ticks);
  const ticks = order.price_ticks || order.stop_price_ticks || best;
  return ticks ? ticks * order.quantity_lots * unitMicros(instrument) : null;
}
