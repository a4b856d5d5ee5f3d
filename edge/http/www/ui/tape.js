// The tape: the latest trades, newest first.

import { html } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { useTopics } from "../state.js";
import { Side } from "../net/messages.js";
import { Empty, Panel } from "./panel.js";

const SHOWN = 40;

export function Tape() {
  const { trades, instruments, selected, link } = useTopics("trades", "instruments", "selected", "link");
  const instrument = instruments.get(selected);
  const rows = trades.instrument === selected ? trades.rows.slice(0, SHOWN) : [];
  return html`
    <${Panel} area="tape" title="Trades">
      <div class="panel-body" tabindex="0" role="region" aria-label="Trades">
        ${rows.length
          ? html`<table class="rows tape">
              <thead><tr><th scope="col">Time</th><th scope="col" class="number">Price</th><th scope="col" class="number">Lots</th></tr></thead>
              <tbody>
                ${rows.map(
                  (row) => html`<tr key=${row.id}>
                    <td class="soft">${format.clock(row.time)}</td>
                    <td class=${`number ${row.side === Side.BUY ? "buy" : row.side === Side.SELL ? "sell" : "warn"}`}>${format.price(instrument, row.price)}</td>
                    <td class="number">${format.lots(row.lots)}</td>
                  </tr>`,
                )}
              </tbody>
            </table>`
          : html`<${Empty} title=${link.state === "live" ? "No trades yet" : "Connecting …"}>${link.state === "live" ? "The first one appears here." : ""}<//>`}
      </div>
    <//>
  `;
}
