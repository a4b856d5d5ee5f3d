// Puts the page together.

import { html, render, useEffect, useState } from "./vendor/htm-preact.js";
import { renewSession, signInAgain } from "./client.js";
import * as format from "./format.js";
import { listen } from "./keys.js";
import { set, useTopics } from "./state.js";
import { codeWords, isRejection } from "./words.js";
import { onChange, state as known } from "./state.js";
import { Account } from "./ui/account.js";
import { Blotter } from "./ui/blotter.js";
import { Keys, SignIn } from "./ui/cards.js";
import { Chart } from "./ui/chart.js";
import { Cluster, watchFailovers } from "./ui/cluster.js";
import { Header } from "./ui/header.js";
import { Icon } from "./ui/icons.js";
import { Ladder } from "./ui/ladder.js";
import { Tape } from "./ui/tape.js";
import { Ticket } from "./ui/ticket.js";
import { Toasts, toast } from "./ui/toasts.js";
import { Watchlist } from "./ui/watchlist.js";

function App() {
  const { link, session, view } = useTopics("link", "session", "view");
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const [keys, showKeys] = useState(false);
  const switchTheme = () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("lockstep-theme", next);
    setTheme(next);
    set("theme", next);
  };
  useEffect(() => listen({ theme: switchTheme, keys: () => showKeys(true) }), []);
  return html`
    <div class="page" data-view=${view}>
      <${Header} theme=${theme} switchTheme=${switchTheme} showKeys=${() => showKeys(true)} />
      <div>${notice(link, session)}</div>
      <main class="desk">
        <${Watchlist} /><${Chart} /><${Ladder} /><${Ticket} /><${Cluster} /><${Blotter} /><${Tape} /><${Account} />
      </main>
      <${Views} view=${view} />
      <${Toasts} />
      ${link.state === "sign-in" ? html`<${SignIn} why=${link.why} />` : null}
      ${keys ? html`<${Keys} close=${() => showKeys(false)} />` : null}
    </div>
  `;
}

/** What keeps the page from doing its work, if anything does. */
function notice(link, session) {
  if (link.state === "reconnecting" || link.state === "broken") {
    return html`<p class="notice bad" role="alert">${link.state === "broken" ? "The page has failed; load it again." : "Reconnecting. What is shown may be old; orders of yours stay as they are."} <span class="soft">${link.why}</span></p>`;
  }
  if (session?.state === "failed") {
    const { text, remedy } = codeWords(session.failure.code);
    return html`<p class="notice" role="alert">${text} ${remedy} <button class="button small" onClick=${renewSession}>New session</button></p>`;
  }
  return null;
}

const VIEWS = [["markets", "Markets"], ["chart", "Chart"], ["book", "Book"], ["trade", "Trade"], ["orders", "Orders"], ["more", "Account"]];

function Views({ view }) {
  return html`
    <nav class="views" aria-label="Parts of the page">
      ${VIEWS.map(([name, text]) => html`<button aria-current=${name === view ? "page" : null} onClick=${() => set("view", name)}><${Icon} name=${name} />${text}</button>`)}
    </nav>
  `;
}

/** A rejection is said wherever the user looks; one of the ticket's own order stands there, too. */
function watchRejections() {
  let seen = 0;
  return onChange("history", () => {
    const latest = known.history[0]?.event_id.seq ?? 0;
    if (seen) {
      for (const row of known.history) {
        if (row.event_id.seq <= seen) break;
        if (!isRejection(row.kind)) continue;
        const { text, remedy, name } = codeWords(row.code);
        toast("bad", `${text}`, `${remedy} (${name} ${row.code})`);
      }
    }
    seen = Math.max(seen, latest, 1);
  });
}

/** The tab's title has the price, so that it shows where the page does not. */
function watchTitle() {
  return onChange("statistics", () => {
    const instrument = known.instruments.get(known.selected);
    const last = known.statistics.get(known.selected)?.last_ticks;
    if (instrument && last) document.title = `${format.price(instrument, last)} ${instrument.symbol} · Lockstep`;
  });
}

watchFailovers();
watchRejections();
watchTitle();
signInAgain();
render(html`<${App} />`, document.getElementById("app"));
