// All instruments, with what they do now.

import { html, useRef, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { select } from "../client.js";
import { set, useTopics } from "../state.js";
import { isAuction, PHASES } from "../words.js";
import { Phase } from "../net/messages.js";
import { Empty, Panel } from "./panel.js";

export function Watchlist() {
  const state = useTopics("instruments", "quotes", "statistics", "statuses", "selected", "link");
  const [filter, setFilter] = useState("");
  const list = useRef(null);
  const shown = [...state.instruments.values()].filter(({ symbol }) => symbol.toLowerCase().includes(filter.toLowerCase()));
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !shown.length) return;
    event.preventDefault();
    const at = shown.findIndex(({ id }) => id === state.selected);
    const next = (at + step + shown.length) % shown.length;
    select(shown[next].id);
    list.current.children[next].firstChild.focus();
  };
  const head = html`
    <h2 class="hidden-text">Instruments</h2>
    <input id="search" class="search" type="search" placeholder="Find an instrument" aria-label="Find an instrument" value=${filter} onInput=${(event) => setFilter(event.target.value)} onKeyDown=${onKeyDown} />
  `;
  return html`
    <${Panel} area="watch" title="Instruments" head=${head}>
      <div class="panel-body">
        ${shown.length
          ? html`<ul ref=${list} onKeyDown=${onKeyDown}>${shown.map((one) => html`<li key=${one.id}><${Row} state=${state} instrument=${one} /></li>`)}</ul>`
          : html`<${Nothing} state=${state} />`}
      </div>
    <//>
  `;
}

function Nothing({ state }) {
  if (state.instruments.size) return html`<${Empty} title="Nothing of that name" />`;
  if (state.link.state !== "live") return html`<${Empty} title="Connecting …" />`;
  return html`<${Empty} title="No instruments yet">An operator defines them. A market that is alive:<br /><code>lockstep up --demo-market</code><//>`;
}

function Row({ state, instrument }) {
  const quote = state.quotes.get(instrument.id);
  const day = state.statistics.get(instrument.id);
  const phase = state.statuses.get(instrument.id)?.phase ?? Phase.CONTINUOUS;
  const before = day?.close_ticks || day?.open_ticks;
  const change = before ? (day.last_ticks - before) / before : 0;
  const best = (price, orders) => (orders ? format.price(instrument, price) : "–");
  return html`
    <button class="watch-row" aria-pressed=${instrument.id === state.selected} onClick=${() => choose(instrument.id)}>
      <span class="symbol">${instrument.symbol}</span>
      <span class="last">${day?.last_ticks ? format.price(instrument, day.last_ticks) : "–"}</span>
      ${phase === Phase.CONTINUOUS
        ? html`<span class="under">${quote ? html`${best(quote.bid_price_ticks, quote.bid_orders)} / ${best(quote.ask_price_ticks, quote.ask_orders)}` : ""}</span>`
        : html`<span class=${`under ${isAuction(phase) || phase === Phase.HALT ? "warn" : ""}`}>${PHASES[phase]}</span>`}
      <span class=${`under right ${change > 0 ? "buy" : change < 0 ? "sell" : ""}`}>${before ? format.percent(change) : ""}</span>
    </button>
  `;
}

function choose(instrument) {
  select(instrument);
  if (matchMedia("(max-width: 760px)").matches) set("view", "chart");
}
