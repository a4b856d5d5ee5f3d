// The depth ladder: price levels with the user's own orders on them. A click puts the price into the ticket.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { set, useTopics } from "../state.js";
import { isAuction, PHASES, SIDES } from "../words.js";
import { Phase, Side } from "../net/messages.js";
import { Panel } from "./panel.js";

const MOST_ROWS = 40;

export function Ladder() {
  const state = useTopics("book", "instruments", "selected", "orders", "statistics", "statuses");
  const instrument = state.instruments.get(state.selected);
  const [rows, ref] = useRows();
  const { bids, asks, live, instrument: of } = state.book;
  const head = html`<h2>Order book</h2><span class="spread soft">${spread(instrument, bids, asks)}</span>`;
  const own = ownLots(state.orders.rows, state.selected);
  const shown = [bids.slice(0, rows), asks.slice(0, rows)];
  const most = Math.max(1, ...shown.flat().map(({ lots }) => lots));
  const here = of === state.selected;
  return html`
    <${Panel} area="ladder" title="Order book" head=${head}>
      <${Phases} instrument=${instrument} status=${state.statuses.get(state.selected)} />
      <div class=${`ladder ${here && live ? "" : "stale"}`} aria-busy=${!live}>
        <div class="ladder-head"><span>Mine</span><span class="number">Price</span><span class="number">Lots</span></div>
        <div class="levels asks" ref=${ref}>
          ${here ? shown[1].map((level) => html`<${Level} key=${level.price} side=${Side.SELL} ...${{ level, instrument, most }} mine=${own.get(level.price)} />`) : null}
        </div>
        <${Middle} instrument=${instrument} state=${state} live=${here && live} />
        <div class="levels bids">
          ${here ? shown[0].map((level) => html`<${Level} key=${level.price} side=${Side.BUY} ...${{ level, instrument, most }} mine=${own.get(level.price)} />`) : null}
        </div>
      </div>
    <//>
  `;
}

function Level({ side, level, instrument, most, mine }) {
  const text = format.price(instrument, level.price);
  // Who clicks an offer wants to buy there.
  const take = () => set("draft", { price: level.price, side: side === Side.SELL ? Side.BUY : Side.SELL });
  // Who listens to the page hears what stands in the row, and then what it is.
  const rest = ` lots, ${SIDES[side]}${mine ? `, ${format.lots(mine)} of them mine` : ""}`;
  return html`
    <button class="level" tabindex="-1" onClick=${take}>
      <span class="depth" style=${{ transform: `scaleX(${Math.min(1, level.lots / most).toFixed(3)})` }}></span>
      <span class="mine" aria-hidden="true">${mine ? html`<i>${format.lots(mine)}</i>` : ""}</span>
      <span class=${side === Side.BUY ? "buy" : "sell"}>${text}</span>
      <span>${format.lots(level.lots)}<span class="hidden-text">${rest}</span></span>
    </button>
  `;
}

function Middle({ instrument, state, live }) {
  const last = state.statistics.get(state.selected)?.last_ticks;
  return html`
    <div class="middle">
      <span class="last">${last ? format.price(instrument, last) : "–"}</span>
      <span class="soft right">${live ? `seq ${format.lots(state.book.seq)}` : instrument ? "recovering" : ""}</span>
    </div>
  `;
}

/** Of an auction, what would happen now; of a band, where it is. */
function Phases({ instrument, status }) {
  if (!instrument || !status) return null;
  const parts = [];
  if (isAuction(status.phase)) {
    const left = status.until_ns ? Math.max(0, Math.round((status.until_ns / 1e6 - Date.now()) / 1000)) : null;
    const over = status.imbalance_lots ? `${SIDES[status.imbalance_side] ?? ""} ${format.lots(status.imbalance_lots)}` : "–";
    parts.push(html`
      <dl class="auction">
        <div class="title"><dt class="warn">${PHASES[status.phase]}</dt><dd>${left === null ? "" : `${left} s left`}</dd></div>
        <div><dt>Would trade at</dt><dd>${status.indicative_lots ? format.price(instrument, status.indicative_ticks) : "–"}</dd></div>
        <div><dt>Lots</dt><dd>${status.indicative_lots ? format.lots(status.indicative_lots) : "–"}</dd></div>
        <div><dt>Left over</dt><dd>${over}</dd></div>
      </dl>
    `);
  } else if (status.phase !== Phase.CONTINUOUS) {
    parts.push(html`<dl class="auction"><div class="title"><dt class="warn">${PHASES[status.phase] ?? "?"}</dt><dd>no orders are taken</dd></div></dl>`);
  }
  if (status.band_known && status.band_high_ticks) {
    parts.push(html`<p class="band">Band ${format.price(instrument, status.band_low_ticks)} – ${format.price(instrument, status.band_high_ticks)}</p>`);
  }
  return parts;
}

function spread(instrument, bids, asks) {
  if (!instrument || !bids.length || !asks.length) return "";
  const ticks = asks[0].price - bids[0].price;
  return ticks > 0 ? `Spread ${format.price(instrument, ticks)}` : "";
}

/** Lots of the user's own orders by price. */
function ownLots(orders, instrument) {
  const found = new Map();
  for (const { instrument: of, price_ticks: price, leaves_lots: leaves, stop_price_ticks: stop } of orders) {
    if (of === instrument && price && !stop) found.set(price, (found.get(price) ?? 0) + leaves);
  }
  return found;
}

/** As many rows as there is room for. */
function useRows() {
  const ref = useRef(null);
  const [rows, setRows] = useState(12);
  useEffect(() => {
    const row = matchMedia("(max-width: 760px)").matches ? 24 : 20;
    const observer = new ResizeObserver(([entry]) => setRows(Math.min(MOST_ROWS, Math.floor(entry.contentRect.height / row))));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [rows, ref];
}
