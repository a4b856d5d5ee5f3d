// Line drawings, 24 x 24.

import { html } from "../vendor/htm-preact.js";

const PATHS = {
  markets: "M4 6h16M4 12h16M4 18h10",
  chart: "M6 4v4m0 8v4M4 8h4v8H4zM15 3v3m0 9v5m-2-14h4v9h-4zM21 20H3",
  book: "M4 5h8M4 9h12M4 15h9M4 19h14",
  trade: "M7 4v15m0-15L4 7m3-3 3 3m7 12V4m0 15 3-3m-3 3-3-3",
  orders: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  more: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3m0 14v3M2 12h3m14 0h3M5 5l2 2m10 10 2 2M19 5l-2 2M7 17l-2 2",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.500 10.500z",
  light: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 1v3m0 16v3M1 12h3m16 0h3M4 4l2 2m12 12 2 2M20 4l-2 2M6 18l-2 2",
  keys: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M8 14h8",
};

export function Icon({ name }) {
  return html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
