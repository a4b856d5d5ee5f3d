// What the user has: open orders, positions, and what has happened in this session.

import { html, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { cancelAll, cancelOrder, replaceOrder, select } from "../client.js";
import { useTopics } from "../state.js";
import { codeWords, EVENTS, isRejection, SIDES, TYPES } from "../words.js";
import { EventKind, Side } from "../net/messages.js";
import { Empty, Panel, Tabs } from "./panel.js";
import { refused, toast } from "./toasts.js";

export function Blotter() {
  const state = useTopics("orders", "account", "session");
  const [shown, setShown] = useState("orders");
  const held = state.account?.positions.filter(({ quantity_lots }) => quantity_lots).length ?? 0;
  const tabs = [["orders", "Open orders", state.orders.rows.length], ["positions", "Positions", held], ["history", "History"]];
  const head = html`
    <${Tabs} label="Orders and positions" tabs=${tabs} chosen=${shown} choose=${setShown} />
    ${shown === "orders" && state.orders.rows.length
      ? html`<span class="spread"><button class="button small" onClick=${cancelEverything}>Cancel all</button></span>`
      : null}
  `;
  const Shown = { orders: Orders, positions: Positions, history: History }[shown];
  return html`<${Panel} area="blotter" title="Orders and positions" head=${head}><div class="panel-body" tabindex="0" role="region" aria-label=${shown}><${Shown} /></div><//>`;
}

export async function cancelEverything() {
  const taken = await cancelAll();
  if (taken.no === null) refused("Cancel all was not sent", taken.why);
  else toast("good", "Cancel all", "Every open order of the account is being canceled.");
}

async function done(promise, title) {
  const taken = await promise;
  if (taken.no === null) refused(title, taken.why);
}

// ---- open orders -------------------------------------------------------------------------------------------------------

function Orders() {
  const state = useTopics("orders", "instruments", "session");
  const pending = (state.session?.pending ?? []).filter(({ command }) => command.new_order);
  const rows = state.orders.rows.slice().sort((one, other) => other.order_id - one.order_id);
  if (!rows.length && !pending.length) {
    return html`<${Empty} title=${state.orders.error ? "Open orders can't be had now" : "No open orders"}>${state.orders.error || "Orders that rest in the book, or wait for their stop price, are listed here."}<//>`;
  }
  return html`
    <table class="rows">
      <thead><tr>${["Instrument", "Side", "Type"].map((name) => html`<th scope="col">${name}</th>`)}${["Price", "Open", "Filled"].map((name) => html`<th scope="col" class="number">${name}</th>`)}<th scope="col"><span class="hidden-text">Change</span></th></tr></thead>
      <tbody>
        ${pending.map(({ no, command, at }) => html`<${Pending} key=${`no${no}`} order=${command.new_order} at=${at} instrument=${state.instruments.get(command.new_order.instrument)} />`)}
        ${rows.map((order) => html`<${Order} key=${order.order_id} order=${order} instrument=${state.instruments.get(order.instrument)} />`)}
      </tbody>
    </table>
  `;
}

function Pending({ order, instrument }) {
  return html`
    <tr class="soft">
      <td>${instrument?.symbol}</td><td>${SIDES[order.side]}</td><td>${TYPES[order.order_type]}</td>
      <td class="number">${order.price_ticks ? format.price(instrument, order.price_ticks) : "market"}</td>
      <td class="number">${format.lots(order.quantity_lots)}</td><td class="number">–</td><td>on its way …</td>
    </tr>
  `;
}

function Order({ order, instrument }) {
  const [edit, setEdit] = useState(null); // {price, lots}
  if (!instrument) return null;
  const stop = order.stop_price_ticks;
  const begin = () => setEdit({ price: order.price_ticks ? plain(instrument, order.price_ticks) : "", lots: String(order.leaves_lots) });
  const change = (event) => {
    event.preventDefault();
    const price = edit.price === "" ? 0 : format.ticksOf(instrument, edit.price);
    const lots = Number(edit.lots);
    if (Number.isNaN(price) || !Number.isInteger(lots) || lots < 1) return refused("The change was not sent", `A price is a multiple of ${instrument.tickMicros / 1e6}, a quantity whole lots.`);
    setEdit(null);
    return done(replaceOrder(order, { price, lots, stop }), "The change was not sent");
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") setEdit(null);
    if (event.key === "Enter") change(event);
  };
  const input = (field, name) => html`<input class="edit" aria-label=${name} value=${edit[field]} onInput=${(event) => setEdit({ ...edit, [field]: event.target.value })} onKeyDown=${onKeyDown} />`;
  const at = order.price_ticks ? format.price(instrument, order.price_ticks) : "market";
  return html`
    <tr data-order=${order.order_id}>
      <td><button onClick=${() => select(instrument.id)}>${instrument.symbol}</button></td>
      <td class=${order.side === Side.BUY ? "buy" : "sell"}>${SIDES[order.side]}</td>
      <td>${TYPES[order.order_type] ?? ""}${stop ? html` <span class="tag">at ${format.price(instrument, stop)}</span>` : ""}${order.display_lots ? html` <span class="tag">iceberg</span>` : ""}</td>
      <td class="number">${edit ? input("price", "New price") : at}</td>
      <td class="number">${edit ? input("lots", "New open quantity") : format.lots(order.leaves_lots)}</td>
      <td class="number soft">${order.quantity_lots ? format.lots(Math.max(0, order.quantity_lots - order.leaves_lots)) : "–"}</td>
      <td class="number">
        ${edit
          ? html`<button class="button small main" onClick=${change}>Replace</button> <button class="button small" onClick=${() => setEdit(null)}>Keep</button>`
          : html`<button class="button small" aria-label=${`Change order ${order.order_id}`} onClick=${begin}>Change</button> <button class="button small" aria-label=${`Cancel order ${order.order_id}`} onClick=${() => done(cancelOrder(order), "The cancel was not sent")}>Cancel</button>`}
      </td>
    </tr>
  `;
}

function plain(instrument, ticks) {
  return format.price(instrument, ticks).replaceAll(",", "");
}

// ---- positions ---------------------------------------------------------------------------------------------------------

/** Worth now less what it cost; of a short position the other way round. Micros, null without a price. */
export function unrealised(position, instrument, lastTicks) {
  if (!instrument || !lastTicks) return null;
  const worth = Math.abs(position.quantity_lots) * lastTicks * format.unitMicros(instrument);
  return position.quantity_lots > 0 ? worth - position.cost_micros : position.cost_micros - worth;
}

function tone(micros) {
  return micros > 0 ? "buy" : micros < 0 ? "sell" : "";
}

function Positions() {
  const { account, instruments, statistics } = useTopics("account", "instruments", "statistics");
  const rows = (account?.positions ?? []).filter((one) => one.quantity_lots || one.realised_micros);
  if (!rows.length) return html`<${Empty} title="No positions">What you buy or sell is listed here, with its profit.<//>`;
  return html`
    <table class="rows">
      <thead><tr><th scope="col">Instrument</th>${["Lots", "Average", "Last", "Worth", "Open profit", "Realised"].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>
        ${rows.map((position) => {
          const instrument = instruments.get(position.instrument);
          const last = statistics.get(position.instrument)?.last_ticks;
          const open = unrealised(position, instrument, last);
          const lots = position.quantity_lots;
          const average = lots && instrument ? Math.round(position.cost_micros / Math.abs(lots) / format.unitMicros(instrument)) : 0;
          return html`
            <tr key=${position.instrument}>
              <td><button onClick=${() => select(position.instrument)}>${instrument?.symbol ?? position.instrument}</button></td>
              <td class=${`number ${lots > 0 ? "buy" : lots < 0 ? "sell" : ""}`}>${format.lots(lots)}</td>
              <td class="number">${average ? format.price(instrument, average) : "–"}</td>
              <td class="number">${last ? format.price(instrument, last) : "–"}</td>
              <td class="number">${last && instrument ? format.money(lots * last * format.unitMicros(instrument)) : "–"}</td>
              <td class=${`number ${tone(open)}`}>${lots && open !== null ? format.signed(open) : "–"}</td>
              <td class=${`number ${tone(position.realised_micros)}`}>${format.signed(position.realised_micros)}</td>
            </tr>
          `;
        })}
      </tbody>
    </table>
  `;
}

// ---- history -----------------------------------------------------------------------------------------------------------

const SHOWN = 120;

function History() {
  const { history, instruments } = useTopics("history", "instruments");
  if (!history.length) return html`<${Empty} title="Nothing yet">Every answer to an order of this page is kept here, over reloads and failovers.<//>`;
  return html`
    <table class="rows">
      <thead><tr>${["Time", "What", "Instrument", "Side"].map((name) => html`<th scope="col">${name}</th>`)}<th scope="col" class="number">Price</th><th scope="col" class="number">Lots</th><th scope="col">Why</th></tr></thead>
      <tbody>
        ${history.slice(0, SHOWN).map((row) => {
          const instrument = instruments.get(row.instrument);
          const { name, text, remedy } = codeWords(row.code);
          const bad = isRejection(row.kind);
          return html`
            <tr key=${`${row.event_id.seq}.${row.event_id.index}.${row.leg}`}>
              <td class="soft">${format.clock(row.timestamp_ns / 1e6)}</td>
              <td class=${bad ? "sell" : row.kind === EventKind.TRADE ? "buy" : ""}>${EVENTS[row.kind] ?? "–"}</td>
              <td>${instrument?.symbol ?? ""}</td>
              <td class=${row.side === Side.BUY ? "buy" : "sell"}>${SIDES[row.side] ?? ""}</td>
              <td class="number">${row.price_ticks ? format.price(instrument, row.price_ticks) : ""}</td>
              <td class="number">${row.quantity_lots ? format.lots(row.quantity_lots) : ""}</td>
              <td class="soft wrap" title=${name}>${row.code ? `${text} ${remedy}` : ""}</td>
            </tr>
          `;
        })}
      </tbody>
    </table>
  `;
}
