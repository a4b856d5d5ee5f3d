// The account: what is free, what is bound, what may be done with it.

import { html } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { useTopics } from "../state.js";
import { AccountStatus } from "../net/messages.js";
import { Empty, Panel } from "./panel.js";
import { unrealised } from "./blotter.js";

const STATUSES = {
  [AccountStatus.ACTIVE]: ["Active", ""],
  [AccountStatus.CLOSE_ONLY]: ["Close only", "warn"],
  [AccountStatus.RESTRICTED]: ["Restricted", "warn"],
  [AccountStatus.BANNED]: ["Banned", "sell"],
  [AccountStatus.KILLED]: ["Kill switch on", "sell"],
};

export function Account() {
  const { account, accounts, instruments, statistics } = useTopics("account", "accounts", "instruments", "statistics");
  return html`
    <${Panel} area="account" title="Account" head=${html`<h2>Account</h2><span class="spread soft">${account ? account.name || account.account : ""}</span>`}>
      <div class="panel-body" tabindex="0" role="region" aria-label="Account">
        ${account
          ? html`<${Figures} ...${{ account, instruments, statistics }} />`
          : html`<${Empty} title=${accounts.account || !accounts.known ? "Asking the cluster …" : "No account"}>${accounts.account || !accounts.known ? "" : "An operator defines accounts and says who may trade them."}<//>`}
      </div>
    <//>
  `;
}

function Figures({ account, instruments, statistics }) {
  let [worth, open, realised] = [0, 0, 0];
  for (const position of account.positions) {
    const instrument = instruments.get(position.instrument);
    const last = statistics.get(position.instrument)?.last_ticks ?? 0;
    if (instrument) worth += position.quantity_lots * last * format.unitMicros(instrument);
    open += position.quantity_lots ? (unrealised(position, instrument, last) ?? 0) : 0;
    realised += position.realised_micros;
  }
  const tone = (micros) => (micros > 0 ? "buy" : micros < 0 ? "sell" : "");
  const [status, statusTone] = STATUSES[account.status] ?? ["?", ""];
  const row = (name, value, cls = "") => html`<dt>${name}</dt><dd class=${cls}>${value}</dd>`;
  return html`
    <dl class="list">
      ${row("Equity", account.unlimited_cash ? "–" : format.money(account.cash_micros + worth))}
      ${row("Open profit", format.signed(open), tone(open))}
      ${row("Realised", format.signed(realised), tone(realised))}
      <div class="rule"></div>
      ${row("Cash", account.unlimited_cash ? "unlimited" : format.money(account.cash_micros))}
      ${row("Bound by buy orders", format.money(account.reserved_micros))}
      ${row("Free", account.unlimited_cash ? "unlimited" : format.money(account.cash_micros - account.reserved_micros))}
      <div class="rule"></div>
      ${row("Status", status, statusTone)}
      ${row("Margin", account.margin ? "yes" : "no")}
      ${row("Short sales", account.short_sales ? "allowed" : "not allowed")}
      ${row("Day-trade rule", account.day_trade_rule ? "applies" : "does not apply")}
      ${row("As of seq", format.lots(account.asOf), "soft")}
    </dl>
  `;
}
