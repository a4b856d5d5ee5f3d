// The bar: what is looked at, how it does, and whether everything is well.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { isAuction, PHASES } from "../words.js";
import { useTopics } from "../state.js";
import { chooseAccount, select } from "../client.js";
import { Phase } from "../net/messages.js";
import { Icon } from "./icons.js";

const FLASH_MS = 4_000;

export function Header({ theme, switchTheme, showKeys }) {
  const state = useTopics("selected", "instruments", "statistics", "statuses", "accounts");
  const instrument = state.instruments.get(state.selected);
  return html`
    <header class="bar">
      <h1 class="brand"><img src="/icon.svg" alt="" /><span>Lockstep</span></h1>
      ${instrument ? html`<${Headline} instrument=${instrument} />` : null}
      <div class="right">
        <${Link} />
        <${Epoch} />
        ${state.accounts.list.length > 1
          ? html`<select class="button" aria-label="Account" value=${state.accounts.account} onChange=${(event) => chooseAccount(Number(event.target.value))}>
              ${state.accounts.list.map(({ account, name }) => html`<option value=${account}>${name || account}</option>`)}
            </select>`
          : null}
        <button class="icon-button wide" aria-label="Keyboard shortcuts" onClick=${showKeys}><${Icon} name="keys" /></button>
        <button class="icon-button" aria-label=${`Switch to the ${theme === "dark" ? "light" : "dark"} theme`} onClick=${switchTheme}>
          <${Icon} name=${theme === "dark" ? "light" : "dark"} />
        </button>
      </div>
    </header>
  `;
}

function Headline({ instrument }) {
  const state = useTopics("statistics", "statuses");
  const day = state.statistics.get(instrument.id);
  const phase = state.statuses.get(instrument.id)?.phase ?? Phase.CONTINUOUS;
  const before = day?.close_ticks || day?.open_ticks;
  const change = before ? (day.last_ticks - before) / before : 0;
  return html`
    <div class="headline">
      <span class="symbol wide">${instrument.symbol}</span>
      <select class="button narrow-only" aria-label="Instrument" value=${instrument.id} onChange=${(event) => select(Number(event.target.value))}>
        ${[...state.instruments.values()].map((one) => html`<option value=${one.id}>${one.symbol}</option>`)}
      </select>
      <span class=${`last ${change > 0 ? "buy" : change < 0 ? "sell" : ""}`}>${day?.last_ticks ? format.price(instrument, day.last_ticks) : "–"}</span>
    </div>
    <dl class="facts">
      <${Fact} name="Today" value=${before ? format.percent(change) : "–"} tone=${change > 0 ? "buy" : change < 0 ? "sell" : ""} />
      <${Fact} name="High" value=${day?.high_ticks ? format.price(instrument, day.high_ticks) : "–"} />
      <${Fact} name="Low" value=${day?.low_ticks ? format.price(instrument, day.low_ticks) : "–"} />
      <${Fact} name="Volume" value=${day ? format.lots(day.volume_lots) : "–"} />
      <${Fact} extra name="VWAP" value=${day?.vwap_micro_ticks ? format.price(instrument, Math.round(day.vwap_micro_ticks / 1e6)) : "–"} />
      <${Fact} extra name="Trades" value=${day ? format.lots(day.trades) : "–"} />
      <${Fact} name="Phase" value=${PHASES[phase] ?? "–"} tone=${isAuction(phase) || phase === Phase.HALT ? "warn" : ""} />
    </dl>
  `;
}

function Fact({ name, value, tone = "", extra = false }) {
  return html`<div class=${`fact ${extra ? "extra" : ""}`}><dt>${name}</dt><dd class=${tone}>${value}</dd></div>`;
}

const LINKS = {
  live: ["good", "Live"],
  connecting: ["busy", "Connecting"],
  greeting: ["busy", "Connecting"],
  reconnecting: ["bad", "Reconnecting"],
  "sign-in": ["busy", "Signed out"],
  broken: ["bad", "Failed"],
};

function Link() {
  const { link, session } = useTopics("link", "session");
  const [tone, text] = LINKS[link.state];
  const orders = link.state !== "live" || !session || session.mayNumber ? "" : session.state === "failed" ? " · no orders" : " · orders wait";
  return html`<span class=${`chip ${orders ? "busy" : tone}`} title=${session?.why ?? ""} data-link=${link.state}><span class="dot"></span>${text}<span class="wide">${orders}</span></span>`;
}

/** The epoch that the latest data came under. A failover shows here first. */
function Epoch() {
  const { stand } = useTopics("stand");
  const [seen, setSeen] = useState(0);
  const [flash, setFlash] = useState(false);
  useEffect(() => {
    if (seen && stand.epoch > seen) {
      setFlash(true);
      setTimeout(() => setFlash(false), FLASH_MS);
    }
    setSeen(stand.epoch);
  }, [stand.epoch]);
  return html`<span class=${`chip ${flash ? "flash" : ""}`} data-epoch=${stand.epoch} title="Each failover begins a new epoch"><span class="wide">Epoch</span>${stand.epoch || "–"}</span>`;
}
