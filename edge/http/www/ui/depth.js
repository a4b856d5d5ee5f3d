// How much could be bought or sold up to each price.

import { html, useEffect, useRef } from "../vendor/htm-preact.js";
import { AreaSeries, createOptionsChart } from "../vendor/lightweight-charts.js";
import * as format from "../format.js";
import { onChange, state as known, useTopics } from "../state.js";
import { chartOptions, colour } from "./chart.js";

const WITH_STEPS = 1;

class DepthChart {
  constructor(element) {
    this.chart = createOptionsChart(element, { autoSize: true, handleScroll: false, handleScale: false });
    const series = () => this.chart.addSeries(AreaSeries, { lineType: WITH_STEPS, lineWidth: 2, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false });
    this.sides = { bids: series(), asks: series() };
    this.restyle();
  }

  restyle() {
    this.chart.applyOptions({ ...chartOptions(), rightPriceScale: { borderColor: colour("line"), scaleMargins: { top: 0.12, bottom: 0 } } });
    for (const [side, name] of [["bids", "buy"], ["asks", "sell"]]) {
      const wash = colour(`${name}-wash`);
      this.sides[side].applyOptions({ lineColor: colour(name), topColor: wash, bottomColor: wash, priceFormat: { type: "custom", minMove: 1, formatter: format.lots } });
    }
  }

  draw(depth, definition) {
    const unit = definition.tickMicros / 1e6;
    const points = (side) => side.map(([ticks, lots]) => ({ time: ticks * unit, value: lots }));
    this.chart.applyOptions({ localization: { precision: format.decimalsOf(definition) } });
    this.sides.bids.setData(points(depth.bids.slice().reverse()));
    this.sides.asks.setData(points(depth.asks));
    this.chart.timeScale().fitContent();
  }
}

export function Depth() {
  const ref = useRef(null);
  const { depth, instruments, selected } = useTopics("selected", "instruments", "depth");
  useEffect(() => {
    const chart = new DepthChart(ref.current);
    const draw = () => {
      const definition = known.instruments.get(known.depth.instrument);
      if (definition) chart.draw(known.depth, definition);
    };
    draw();
    const ends = [onChange("depth", draw), onChange("theme", () => chart.restyle())];
    return () => {
      ends.forEach((end) => end());
      chart.chart.remove();
    };
  }, []);
  const empty = depth.instrument === selected && !depth.bids.length;
  return html`
    <div class="chart">
      <div ref=${ref} role="img" aria-label=${`Depth of the book of ${instruments.get(selected)?.symbol ?? "the instrument"}`}></div>
      ${empty ? html`<div class="wait">A depth chart needs bids and asks.</div>` : null}
      <a class="credit" href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener">Charts by TradingView</a>
    </div>
  `;
}
