// Short notices that go by themselves; those that say what went wrong stay longer.

import { html } from "../vendor/htm-preact.js";
import { set, state, useTopics } from "../state.js";

const SHORT_MS = 4_500;
const LONG_MS = 9_000;
const MOST = 4;
let lastId = 0;

export function toast(tone, title, text = "") {
  const id = ++lastId;
  set("toasts", [...state.toasts, { id, tone, title, text }].slice(-MOST));
  setTimeout(() => drop(id), tone === "good" ? SHORT_MS : LONG_MS);
}

export function refused(title, text) {
  toast("bad", title, text);
}

function drop(id) {
  set("toasts", state.toasts.filter((one) => one.id !== id));
}

export function Toasts() {
  const { toasts } = useTopics("toasts");
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${toasts.map(
        ({ id, tone, title, text }) => html`
          <div class=${`toast ${tone}`} key=${id}>
            <strong>${title}</strong>
            <button class="soft" aria-label="Close this notice" onClick=${() => drop(id)}>✕</button>
            ${text ? html`<p>${text}</p>` : null}
          </div>
        `,
      )}
    </div>
  `;
}
