// A titled part of the page, and a row of tabs.

import { html } from "../vendor/htm-preact.js";

export function Panel({ area, title, head, children }) {
  return html`
    <section class=${`panel area-${area}`} aria-label=${title}>
      <header class="panel-head">${head ?? html`<h2>${title}</h2>`}</header>
      ${children}
    </section>
  `;
}

/** `tabs`: [key, label]. Arrow keys go along, as in every row of tabs. */
export function Tabs({ label, tabs, chosen, choose }) {
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex(([key]) => key === chosen);
    const next = (at + step + tabs.length) % tabs.length;
    choose(tabs[next][0]);
    event.currentTarget.children[next].focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${onKeyDown}>
      ${tabs.map(
        ([key, text, count]) => html`
          <button role="tab" aria-selected=${key === chosen} tabindex=${key === chosen ? 0 : -1} onClick=${() => choose(key)}>
            ${text}${count ? html`<span class="count">${count}</span>` : null}
          </button>
        `,
      )}
    </div>
  `;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><strong>${title}</strong>${children}</div>`;
}
