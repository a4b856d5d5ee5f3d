// The cluster: who does what, under which epoch, and how long the last failover was.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { onChange, state as known, useTopics } from "../state.js";
import { Empty, Panel } from "./panel.js";
import { toast } from "./toasts.js";

const TONES = { primary: "good", standby: "good", leader: "good", candidate: "good", serving: "good", down: "bad" };
const FLASH_MS = 4_000;

export function Cluster() {
  const { cluster, stand } = useTopics("cluster", "stand");
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1_000); // "12 s ago" goes on
    return () => clearInterval(timer);
  }, []);
  const whole = cluster && !cluster.lacks.length;
  const head = html`<h2>Cluster</h2><span class="spread chip ${whole ? "good" : "busy"}"><span class="dot"></span>${whole ? "whole" : "not whole"}</span>`;
  return html`
    <${Panel} area="cluster" title="Cluster" head=${head}>
      <div class="panel-body" tabindex="0" role="region" aria-label="Cluster">
        ${cluster ? html`<${State} cluster=${cluster} epoch=${stand.epoch} />` : html`<${Empty} title="Asking the processes …" />`}
      </div>
    <//>
  `;
}

function State({ cluster, epoch }) {
  const failover = cluster.failover;
  const recent = failover && Date.now() - failover.at_ns / 1e6 < FLASH_MS;
  const engines = cluster.members.filter(({ name }) => name.startsWith("engine"));
  return html`
    <dl class="epoch">
      <div class=${recent ? "flash" : ""}><dt>Epoch</dt><dd>${epoch}</dd></div>
      <div><dt>Engines in sync</dt><dd>${engines.filter((one) => one.in_sync).length}<small> of ${engines.length}</small></dd></div>
      <div class=${recent ? "flash" : ""} style=${{ gridColumn: "1 / -1" }}>
        <dt>Last failover</dt>
        <dd>${failover ? html`${format.money(failover.gap_us * 1e3, 1)} ms <small>without a commit, ${format.ago(failover.at_ns / 1e6)}</small>` : html`<small>none seen</small>`}</dd>
      </div>
    </dl>
    ${cluster.members.map(
      (member) => html`
        <div class="member" key=${member.name} title=${member.why || `pid ${member.pid}`}>
          <span class=${`dot ${TONES[member.role] ?? "busy"}`}></span>
          <span>${member.name}</span>
          <span class=${member.role === "primary" || member.role === "leader" ? "" : member.role === "down" ? "sell" : "soft"}>${member.role}</span>
        </div>
      `,
    )}
    ${cluster.lacks.length ? html`<ul class="lacks">${cluster.lacks.slice(0, 4).map((text) => html`<li>${text}</li>`)}</ul>` : null}
  `;
}

/** Says a failover once, whatever is shown. */
export function watchFailovers() {
  let seen = null;
  return onChange("cluster", () => {
    const failover = known.cluster?.failover;
    const now = failover?.to_epoch ?? 0;
    if (seen !== null && now > seen) {
      toast("warn", `Failover: epoch ${failover.from_epoch} → ${failover.to_epoch}`, `${format.money(failover.gap_us * 1e3, 1)} ms without a commit. Orders and data go on.`);
    }
    seen = now;
  });
}
