// The order ticket: every kind of order, what it would be worth, and what became of the last one.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { submit } from "../client.js";
import { BLANK, may, NEEDS_PRICE, NEEDS_STOP, orderOf, settled, worthMicros } from "../order_terms.js";
import { set, state as known, useTopics } from "../state.js";
import { codeWords, EVENTS, isRejection, PREVENTIONS, SIDES, TIFS, TIFS_OF, TYPES } from "../words.js";
import { EventKind, OrderType, Side, TimeInForce } from "../net/messages.js";
import { Panel } from "./panel.js";
import { refused } from "./toasts.js";

let lastId = 0;

/** Unique among the account's live orders: the time, and never the same twice. Below 2^48. */
function nextId() {
  lastId = Math.max(lastId + 1, Date.now() * 100 - 170_000_000_000_000);
  return lastId;
}

export function Ticket() {
  const state = useTopics("instruments", "selected", "accounts", "account", "session", "quotes", "draft", "history", "link");
  const [form, setForm] = useState(BLANK);
  const [sent, setSent] = useState(null); // {no, order, symbol}
  const [touched, setTouched] = useState("");
  const instrument = state.instruments.get(state.selected);
  const change = (fields) => {
    setTouched(Object.keys(fields)[0]);
    setForm((before) => settled({ ...before, ...fields }));
  };
  useDraft(state.draft, instrument, change);
  useEffect(() => change({ price: "", stop: "", trail: "" }), [state.selected]);
  if (!instrument) return html`<${Panel} area="ticket" title="Order"><div class="empty">${state.link.state === "live" ? "Choose an instrument first." : "Connecting …"}</div><//>`;
  const account = state.accounts.account;
  const { order, wrong } = orderOf(form, { account, instrument, nextId: 0, now: Date.now() });
  const why = whyNot(state, account);
  const go = async (event) => {
    event.preventDefault();
    if (!order || why) return;
    const placed = { ...order, client_order_id: nextId() };
    const taken = await submit({ new_order: placed });
    if (taken.no === null) refused("The order was not sent", taken.why);
    else setSent({ no: taken.no, order: placed, instrument });
  };
  const hint = wrong?.text && touched ? wrong : null;
  return html`
    <${Panel} area="ticket" title="Order">
      <div class="panel-body">
        <form class="ticket" id="ticket" onSubmit=${go} autocomplete="off">
          <${Sides} side=${form.side} choose=${(side) => change({ side })} />
          <${Choice} id="type" label="Type" names=${TYPES} keys=${Object.keys(TYPES)} value=${form.type} choose=${(type) => change({ type })} />
          <${Terms} ...${{ form, change, instrument, hint, state }} />
          <${More} ...${{ form, change, hint }} />
          ${hint ? html`<p class="hint" id="hint" role="alert">${hint.text}</p>` : null}
          <${Sums} ...${{ order, instrument, state, form }} />
          <button class=${`go ${form.side === Side.SELL ? "is-sell" : ""}`} disabled=${!order || Boolean(why)} title=${why}>
            ${why || label(form, order, instrument)}
          </button>
          ${sent ? html`<${Outcome} sent=${sent} history=${state.history} session=${state.session} />` : null}
        </form>
      </div>
    <//>
  `;
}

/** A click on the ladder, or a key, fills something in. */
function useDraft(draft, instrument, change) {
  useEffect(() => {
    if (!draft || !instrument) return;
    const fields = {};
    if (draft.side) fields.side = draft.side;
    if (draft.type) fields.type = draft.type;
    if (draft.price) fields.price = format.price(instrument, draft.price).replaceAll(",", "");
    change(fields);
    set("draft", null);
    if (draft.focus !== false) document.getElementById(draft.focus ?? "quantity")?.focus();
  }, [draft]);
}

function whyNot({ link, session }, account) {
  if (link.state !== "live") return "Not connected";
  if (!account) return "No account";
  if (!session) return "Opening the session …";
  if (session.state === "failed") return "The session has ended";
  if (session.state !== "open" || !session.mayNumber) return "Orders wait for a gateway …";
  return "";
}

function label(form, order, instrument) {
  const words = [SIDES[form.side]];
  if (order) words.push(format.lots(order.quantity_lots));
  words.push(instrument.symbol);
  if (order?.price_ticks) words.push(`@ ${format.price(instrument, order.price_ticks)}`);
  return words.join(" ");
}

function Sides({ side, choose }) {
  return html`
    <div class="sides" role="group" aria-label="Side">
      <button type="button" class=${side === Side.BUY ? "on-buy" : ""} aria-pressed=${side === Side.BUY} onClick=${() => choose(Side.BUY)}>Buy</button>
      <button type="button" class=${side === Side.SELL ? "on-sell" : ""} aria-pressed=${side === Side.SELL} onClick=${() => choose(Side.SELL)}>Sell</button>
    </div>
  `;
}

function Choice({ id, label: text, names, keys, value, choose }) {
  return html`
    <label class="field"><span>${text}</span>
      <select id=${id} value=${value} onChange=${(event) => choose(Number(event.target.value))}>
        ${keys.map((key) => html`<option value=${key} selected=${Number(key) === value}>${names[key]}</option>`)}
      </select>
    </label>
  `;
}

/** A number with arrows that step by `step` (Shift: ten of them). */
function Amount({ id, label: text, unit, value, change, step, decimals = 0, hint, placeholder }) {
  const onKeyDown = (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!way || !step) return;
    event.preventDefault();
    const next = Number(String(value).replaceAll(",", "") || placeholder || 0) + way * step * (event.shiftKey ? 10 : 1);
    change({ [id]: Math.max(0, next).toFixed(decimals) });
  };
  const wrong = hint?.field === id;
  return html`
    <label class=${`field ${wrong ? "wrong" : ""}`}><span>${text}</span>
      <input id=${id} inputmode="decimal" value=${value} placeholder=${placeholder ?? ""} aria-invalid=${wrong} aria-describedby=${wrong ? "hint" : null}
        onInput=${(event) => change({ [id]: event.target.value })} onKeyDown=${onKeyDown} onFocus=${(event) => event.target.select()} />
      ${unit ? html`<span class="unit">${unit}</span>` : null}
    </label>
  `;
}

function Terms({ form, change, instrument, hint, state }) {
  const decimals = format.decimalsOf(instrument);
  const step = instrument.tickMicros / 1e6;
  const common = { change, hint, decimals, step };
  const quote = state.quotes.get(instrument.id);
  const best = quote && (form.side === Side.BUY ? quote.ask_orders && quote.ask_price_ticks : quote.bid_orders && quote.bid_price_ticks);
  const near = best ? ((best * instrument.tickMicros) / 1e6).toFixed(decimals) : undefined;
  return html`
    ${NEEDS_STOP.has(form.type) ? html`<${Amount} id="stop" label="Stop price" value=${form.stop} placeholder=${near} ...${common} />` : null}
    ${form.type === OrderType.TRAILING_STOP ? html`<${Amount} id="trail" label="Trail" value=${form.trail} ...${common} />` : null}
    ${NEEDS_PRICE.has(form.type) ? html`<${Amount} id="price" label="Price" value=${form.price} placeholder=${near} ...${common} />` : null}
    <${Amount} id="quantity" label="Quantity" unit=${instrument.lotUnits === 1 ? "lots" : `× ${instrument.lotUnits}`} value=${form.quantity} change=${change} step=${1} hint=${hint} />
    <${Shares} ...${{ form, change, instrument, state, best }} />
    <${Choice} id="tif" label="Lasts" names=${TIFS} keys=${TIFS_OF[form.type]} value=${form.tif} choose=${(tif) => change({ tif })} />
    ${form.tif === TimeInForce.GTD
      ? html`<label class="field"><span>Until</span><input id="expires" type="datetime-local" step="1" value=${form.expires} onInput=${(event) => change({ expires: event.target.value })} /></label>`
      : null}
  `;
}

/** A part of what could be bought with the free cash, or sold of the free position. */
function Shares({ form, change, instrument, state, best }) {
  const free = freeLots(form, instrument, state, best);
  return html`
    <div class="shares" role="group" aria-label="Part of what is free">
      ${[10, 25, 50, 100].map(
        (share) => html`<button type="button" disabled=${!free} onClick=${() => change({ quantity: String(Math.max(1, Math.floor((free * share) / 100))) })}>${share}%</button>`,
      )}
    </div>
  `;
}

function freeLots(form, instrument, { account }, best) {
  if (!account) return 0;
  const position = account.positions.find((one) => one.instrument === instrument.id);
  if (form.side === Side.SELL) return Math.max(0, (position?.quantity_lots ?? 0) - (position?.reserved_lots ?? 0));
  const ticks = format.ticksOf(instrument, form.price) || best;
  if (!ticks || account.unlimited_cash) return 0;
  // A little stays for fees.
  return Math.floor(((account.cash_micros - account.reserved_micros) * 0.998) / (ticks * format.unitMicros(instrument)));
}

function More({ form, change, hint }) {
  const allowed = may(form);
  const flag = (id, text, on) => html`<label class="check"><input type="checkbox" id=${id} checked=${form[id]} disabled=${!on} onChange=${(event) => change({ [id]: event.target.checked })} />${text}</label>`;
  return html`
    <details>
      <summary>More terms</summary>
      <div>
        ${allowed.protection ? html`<${Amount} id="price" label="Protection price" value=${form.price} change=${change} hint=${hint} />` : null}
        ${allowed.display ? html`<${Amount} id="display" label="Display (iceberg)" unit="lots" value=${form.display} change=${change} hint=${hint} step=${1} />` : null}
        ${allowed.minimum ? html`<${Amount} id="minimum" label="Minimum" unit="lots" value=${form.minimum} change=${change} hint=${hint} step=${1} />` : null}
        ${flag("postOnly", "Post only: never trade at once", allowed.postOnly)}
        ${flag("hidden", "Hidden: not shown in the book", allowed.hidden)}
        <${Choice} id="stp" label="Own orders" names=${PREVENTIONS} keys=${Object.keys(PREVENTIONS)} value=${form.stp} choose=${(stp) => change({ stp })} />
      </div>
    </details>
  `;
}

function Sums({ order, instrument, state, form }) {
  const worth = order ? worthMicros(order, instrument, state.quotes.get(instrument.id)) : null;
  const { account } = state;
  const position = account?.positions.find((one) => one.instrument === instrument.id);
  return html`
    <dl class="sums">
      <dt>Worth</dt><dd>${worth === null ? "–" : format.money(worth)}</dd>
      ${form.side === Side.SELL
        ? html`<dt>Free to sell</dt><dd>${account?.unlimited_positions ? "unlimited" : format.lots((position?.quantity_lots ?? 0) - (position?.reserved_lots ?? 0))}</dd>`
        : html`<dt>Free cash</dt><dd>${!account ? "–" : account.unlimited_cash ? "unlimited" : format.money(account.cash_micros - account.reserved_micros)}</dd>`}
    </dl>
  `;
}

/** What became of the order: from the session's reports, so a reload or a failover changes nothing. */
function Outcome({ sent, history, session }) {
  const rows = history.filter((row) => row.leg === 0 && row.session_no === sent.no);
  const text = label({ side: sent.order.side }, sent.order, sent.instrument);
  if (!rows.length) {
    const open = session?.pending.some(({ no }) => no === sent.no);
    return html`<div class="outcome" role="status"><strong>${text}</strong>${open ? "on its way …" : "answered"}</div>`;
  }
  const first = rows.at(-1);
  if (isRejection(first.kind)) {
    const { name, text: reason, remedy } = codeWords(first.code);
    return html`<div class="outcome bad" role="alert"><strong>Rejected: ${text}</strong>${reason} ${remedy} <code>${name} ${first.code}</code></div>`;
  }
  const filled = rows.filter((row) => row.kind === EventKind.TRADE).reduce((sum, row) => sum + row.quantity_lots, 0);
  const last = rows[0];
  const ended = last.kind === EventKind.CANCELED ? codeWords(last.code) : null;
  const what = filled ? `${filled === sent.order.quantity_lots ? "Filled" : `Filled ${format.lots(filled)} of ${format.lots(sent.order.quantity_lots)}`}` : EVENTS[last.kind];
  return html`
    <div class=${`outcome ${ended && !filled ? "bad" : "good"}`} role="status">
      <strong>${what}: ${text}</strong>
      ${ended ? `${ended.text} ${ended.remedy}` : filled === sent.order.quantity_lots ? "" : "Working in the book."}
      <code> order ${first.order_id}</code>
    </div>
  `;
}

export function focusSide(side) {
  set("draft", { side, focus: "quantity" });
  if (known.view !== "trade") set("view", "trade");
}
