// Numbers as people read them. Prices are integer ticks everywhere until they come here.

const formats = new Map();

function fixed(decimals) {
  if (!formats.has(decimals)) {
    formats.set(decimals, new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return formats.get(decimals);
}

/** So many decimals show every tick. */
export function decimalsOf({ tickMicros }) {
  let decimals = 6;
  while (decimals > 0 && tickMicros % 10 ** (7 - decimals) === 0) decimals--;
  return decimals;
}

export function price(instrument, ticks) {
  if (!instrument || ticks === undefined) return "–";
  return fixed(decimalsOf(instrument)).format((ticks * instrument.tickMicros) / 1e6);
}

/** "101.5" in ticks; NaN if it is no price of this instrument. */
export function ticksOf(instrument, text) {
  const cleaned = String(text).replaceAll(",", "").trim();
  if (!/^\d+(\.\d+)?$/.test(cleaned)) return NaN;
  const ticks = (Number(cleaned) * 1e6) / instrument.tickMicros;
  return Math.abs(ticks - Math.round(ticks)) < 1e-6 ? Math.round(ticks) : NaN;
}

export function lots(number) {
  return fixed(0).format(number);
}

export function money(micros, decimals = 2) {
  return fixed(decimals).format(micros / 1e6);
}

export function signed(micros) {
  return `${micros > 0 ? "+" : micros < 0 ? "−" : ""}${money(Math.abs(micros))}`;
}

export function percent(share) {
  return `${share > 0 ? "+" : share < 0 ? "−" : ""}${fixed(2).format(Math.abs(share) * 100)}%`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function clock(ms) {
  return CLOCK.format(ms);
}

export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/** What one lot at a price of one tick is worth, in micros. */
export function unitMicros(instrument) {
  return instrument.tickMicros * instrument.lotUnits;
}
