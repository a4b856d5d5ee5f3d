// Candles with volume, and the depth of the book. Both are drawn on canvases by their libraries; a table of the book and the
// tape stand beside them for those who can't see a drawing.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { CandlestickSeries, createChart, HistogramSeries } from "../vendor/lightweight-charts.js";
import * as format from "../format.js";
import { setCandles } from "../client.js";
import { onChange, state as known, useTopics } from "../state.js";
import { Depth } from "./depth.js";
import { Panel, Tabs } from "./panel.js";

const LENGTHS = [
  [1, "1s"],
  [10, "10s"],
  [60, "1m"],
  [300, "5m"],
  [900, "15m"],
  [3600, "1h"],
  [86400, "1d"],
];

export function Chart() {
  const [shown, setShown] = useState("candles");
  const { candleS } = useTopics("candleS");
  const head = html`
    <${Tabs} label="Chart" chosen=${shown} choose=${setShown} tabs=${[["candles", "Chart"], ["depth", "Depth"]]} />
    ${shown === "candles"
      ? html`<div class="tabs small spread" role="group" aria-label="Length of a candle">
          ${LENGTHS.map(([seconds, text]) => html`<button aria-pressed=${seconds === candleS} onClick=${() => setCandles(seconds)}>${text}</button>`)}
        </div>`
      : null}
  `;
  return html`<${Panel} area="chart" title="Chart" head=${head}>${shown === "candles" ? html`<${Candles} />` : html`<${Depth} />`}<//>`;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const LOCAL = { hour: "2-digit", minute: "2-digit" };

function tickText(time, kind) {
  const date = new Date(time * 1000);
  if (kind < 3) return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return date.toLocaleTimeString("en-GB", kind === 4 ? { ...LOCAL, second: "2-digit" } : LOCAL);
}

export function chartOptions() {
  return {
    layout: { background: { color: colour("panel") }, textColor: colour("soft"), fontFamily: colour("font"), fontSize: 11, attributionLogo: false },
    grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
    rightPriceScale: { borderColor: colour("line"), scaleMargins: { top: 0.1, bottom: 0.24 } },
    timeScale: { borderColor: colour("line"), timeVisible: true, secondsVisible: true, rightOffset: 4, tickMarkFormatter: tickText },
    crosshair: { mode: 0, vertLine: { color: colour("edge"), labelBackgroundColor: colour("edge") }, horzLine: { color: colour("edge"), labelBackgroundColor: colour("edge") } },
    localization: { timeFormatter: (time) => new Date(time * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) },
  };
}

class CandleChart {
  constructor(element, onLegend) {
    this.chart = createChart(element, { ...chartOptions(), autoSize: true });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.bars = new Map();
    this.last = null;
    this.shown = "";
    this.lines = [];
    this.onLegend = onLegend;
    this.restyle();
    this.chart.subscribeCrosshairMove(({ time }) => onLegend(this.bars.get(time) ?? this.last));
  }

  restyle() {
    this.chart.applyOptions(chartOptions());
    const [up, down] = [colour("buy"), colour("sell")];
    this.candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    if (this.bars.size) this.volume.setData([...this.bars.values()].map((bar) => this.#volumeOf(bar)));
  }

  take({ instrument, candleS, all, fresh, loading }, definition) {
    if (loading || !definition) return;
    const key = `${instrument}/${candleS}`;
    if (all) {
      this.bars = new Map(all.map((bar) => [bar.time, bar]));
      this.#format(definition);
      this.candles.setData(all.map((bar) => this.#priced(bar, definition)));
      this.volume.setData(all.map((bar) => this.#volumeOf(bar)));
      this.last = all.at(-1) ?? null;
      if (key !== this.shown) this.chart.timeScale().setVisibleLogicalRange({ from: all.length - 90, to: all.length + 4 });
      this.shown = key;
    }
    if (key !== this.shown) return;
    for (const bar of fresh) {
      // A candle from before the last one can't be drawn any more; it is in the next list.
      if (this.last && bar.time < this.last.time) continue;
      this.bars.set(bar.time, bar);
      this.candles.update(this.#priced(bar, definition));
      this.volume.update(this.#volumeOf(bar));
      this.last = bar;
    }
    this.onLegend(this.last);
  }

  /** The user's resting orders as lines. */
  mark(orders, definition) {
    for (const line of this.lines) this.candles.removePriceLine(line);
    this.lines = orders.map(({ price_ticks, leaves_lots, side }) =>
      this.candles.createPriceLine({
        price: (price_ticks * definition.tickMicros) / 1e6,
        color: colour(side === 1 ? "buy" : "sell"),
        lineWidth: 1,
        lineStyle: 2,
        title: `${side === 1 ? "Buy" : "Sell"} ${leaves_lots}`,
      }),
    );
  }

  #format(definition) {
    const minMove = definition.tickMicros / 1e6;
    this.candles.applyOptions({ priceFormat: { type: "price", precision: format.decimalsOf(definition), minMove } });
  }

  #priced(bar, { tickMicros }) {
    const unit = tickMicros / 1e6;
    return { time: bar.time, open: bar.open * unit, high: bar.high * unit, low: bar.low * unit, close: bar.close * unit };
  }

  #volumeOf(bar) {
    return { time: bar.time, value: bar.volume, color: colour(bar.close >= bar.open ? "buy-wash" : "sell-wash") };
  }
}

function Candles() {
  const ref = useRef(null);
  const [bar, setBar] = useState(null);
  const { candles, instruments, selected } = useTopics("selected", "instruments", "candles");
  useEffect(() => {
    const chart = new CandleChart(ref.current, setBar);
    const take = () => chart.take(known.candles, known.instruments.get(known.candles.instrument));
    const mark = () => {
      const definition = known.instruments.get(known.selected);
      const mine = known.orders.rows.filter((one) => one.instrument === known.selected && one.price_ticks && !one.stop_price_ticks);
      if (definition) chart.mark(mine.slice(0, 20), definition);
    };
    const ends = [onChange("candles", take), onChange("orders", mark), onChange("selected", mark), onChange("theme", () => chart.restyle())];
    setCandles(known.candleS); // all of them, as nothing is drawn yet
    return () => {
      ends.forEach((end) => end());
      chart.chart.remove();
    };
  }, []);
  const definition = instruments.get(selected);
  return html`
    <div class="chart">
      <div ref=${ref} role="img" aria-label=${`Candles of ${definition?.symbol ?? "the instrument"} with volume`}></div>
      ${bar && definition ? html`<${Legend} bar=${bar} definition=${definition} />` : null}
      ${candles.loading ? html`<div class="wait">Loading candles …</div>` : null}
      <a class="credit" href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener">Charts by TradingView</a>
    </div>
  `;
}

function Legend({ bar, definition }) {
  const one = (name, ticks) => html`<span>${name} <b>${format.price(definition, ticks)}</b></span>`;
  return html`
    <div class="legend" aria-hidden="true">
      ${one("O", bar.open)} ${one("H", bar.high)} ${one("L", bar.low)} ${one("C", bar.close)}
      <span>Vol <b>${format.lots(bar.volume)}</b></span>
    </div>
  `;
}
