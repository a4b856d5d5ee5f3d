// What stands over the page: signing in, and the keys.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { signIn } from "../client.js";
import { KEYS } from "../keys.js";

function Card({ title, children, close }) {
  const ref = useRef(null);
  useEffect(() => ref.current.querySelector("input, button")?.focus(), []);
  const onKeyDown = (event) => {
    if (event.key === "Escape") close?.();
    if (event.key === "Tab") keepInside(event, ref.current);
  };
  return html`<div class="veil"><div class="card" role="dialog" aria-modal="true" aria-label=${title} ref=${ref} onKeyDown=${onKeyDown}><h2>${title}</h2>${children}</div></div>`;
}

function keepInside(event, card) {
  const parts = [...card.querySelectorAll("input, button")];
  const edge = event.shiftKey ? parts[0] : parts.at(-1);
  if (document.activeElement !== edge) return;
  event.preventDefault();
  (event.shiftKey ? parts.at(-1) : parts[0]).focus();
}

export function SignIn({ why }) {
  const [token, setToken] = useState("");
  const go = (event) => {
    event.preventDefault();
    signIn(token.trim());
  };
  return html`
    <${Card} title="Sign in">
      <p class="soft">This cluster knows its clients by a token. It stays in this tab and is never part of an address.</p>
      <form onSubmit=${go} class="ticket">
        <label class="field"><span>Token</span><input type="password" autocomplete="off" value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
        ${why ? html`<p class="hint" role="alert">${why}</p>` : null}
        <button class="button main" disabled=${!token.trim()}>Sign in</button>
      </form>
    <//>
  `;
}

export function Keys({ close }) {
  return html`
    <${Card} title="Keys" close=${close}>
      <dl class="keys">${KEYS.map(([key, text]) => html`<dt><kbd>${key}</kbd></dt><dd>${text}</dd>`)}</dl>
      <button class="button" onClick=${close}>Close</button>
    <//>
  `;
}
