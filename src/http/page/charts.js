// The plots: uPlot, in the page's own colours.
/* global uPlot */

import { clock, count } from "./words.js";

const COLOURS = 6;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const media = matchMedia("(prefers-color-scheme: dark)");

/** The look of a model by its place among all: six colours, each solid and dashed, as on the page of `compare`. */
export const look = (place) => ({ stroke: css(`--c${place % COLOURS}`), dash: Math.floor(place / COLOURS) % 2 ? [7, 4] : undefined });

/** The time axis of all plots has one pointer. */
const sync = uPlot.sync("time");

function axis(more) {
  return { stroke: css("--soft"), font: "12px system-ui, sans-serif", grid: { stroke: css("--rule"), width: 1 }, ticks: { stroke: css("--rule"), width: 1, size: 5 }, ...more };
}

/** The range of values; peaks far beyond the rest are cut at the top, as on the page of `compare`. */
export function cut(values) {
  const known = values.filter((value) => value !== null && Number.isFinite(value)).sort((a, b) => a - b);
  if (known.length === 0) return [0, 1];
  const top = Math.min(known.at(-1), 2.5 * known[Math.floor(0.9 * (known.length - 1))]);
  const room = Math.max((top - known[0]) * 0.08, Math.abs(top) * 0.02, 1e-9);
  return [known[0] - room, top + room];
}

/** The range from 0 to the greatest value, or to `least`. */
export const fromZero = (values, least) => [0, 1.08 * Math.max(least, ...values)];

/** A plot that keeps its width, and is drawn anew where the colours change. */
export class Plot {
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.data = null;
    new ResizeObserver(() => this.fit()).observe(element);
    media.addEventListener("change", () => this.rebuild());
  }

  size() {
    return { width: Math.max(200, this.element.clientWidth), height: this.element.clientHeight };
  }

  fit() {
    if (this.plot) this.plot.setSize(this.size());
  }

  /** Makes it anew, as after another choice of lines. */
  rebuild() {
    this.plot?.destroy();
    this.plot = undefined;
    if (this.data) this.draw(this.data, this.range);
  }

  draw(data, range) {
    [this.data, this.range] = [data, range];
    if (!this.plot) {
      this.plot = new uPlot({ ...this.size(), ...this.options(this) }, data, this.element);
    } else {
      this.plot.setData(data, false);
    }
    this.plot.setScale("x", { min: range[0], max: range[1] });
  }
}

/** Options of a plot over time. `lines` are its series; `marks` are drawn as upright lines; `zoom` takes what is dragged over. */
export function overTime({ lines, range, marks = () => [], zoom, back, pointed = () => {}, unit }) {
  return {
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: {
      sync: { key: sync.key, setSeries: false },
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => back() },
    },
    scales: { x: { time: true }, y: { range: (plot) => range(plot) } },
    series: [{ value: (_, seconds) => clock(seconds) }, ...lines],
    axes: [
      axis({ values: (plot, ticks) => ticks.map((tick) => tickText(tick, plot.scales.x.max - plot.scales.x.min)), space: 70, size: 32 }),
      axis({ values: (_, ticks) => ticks.map(tickNumber), size: 56, label: unit, labelSize: 16, labelFont: "12px system-ui, sans-serif", labelGap: 0 }),
    ],
    hooks: {
      // Below the lines.
      drawAxes: [(plot) => drawMarks(plot, marks())],
      setCursor: [(plot) => pointed(plot.cursor.idx)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 6) return;
          const span = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          zoom(span);
        },
      ],
    },
  };
}

function tickNumber(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e7) ? value.toExponential(1) : Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
}

function tickText(seconds, span) {
  const text = clock(seconds, new Date(seconds * 1000));
  if (span <= 300) return text;
  const day = new Date(seconds * 1000).toLocaleDateString("en", { day: "numeric", month: "short" });
  return span > 2 * 86400 ? day : text.slice(0, 5);
}

/** Of many marks in a place one is drawn. */
const MARK_PIXELS = 2;

/** More marks than these are drawn faintly. */
const FEW_MARKS = 15;

function drawMarks(plot, all) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  const marks = all.filter(({ time }) => time / 1000 >= min && time / 1000 <= max);
  let drawn = {};
  ctx.save();
  for (const { time, kind } of marks) {
    const x = Math.round(plot.valToPos(time / 1000, "x", true));
    if (Math.abs(x - (drawn[kind] ?? -9)) < MARK_PIXELS) continue;
    drawn = { ...drawn, [kind]: x };
    ctx.strokeStyle = css(kind === "drift" ? "--mark" : kind === "champion" ? "--link" : "--bad");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash((kind === "champion" ? [] : kind === "drift" ? [5, 4] : [2, 3]).map((it) => it * devicePixelRatio));
    ctx.globalAlpha = kind === "drift" && marks.length > FEW_MARKS ? 0.45 : 0.85;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Options of the plot of predictions beside targets, by offset. */
export function beside() {
  const link = css("--link");
  const near = (plot) => {
    const [, lower, upper, made, target] = plot.data;
    const [low, high] = ends([...made, ...target]);
    const span = Math.max(high - low, 1e-9);
    const [lowest, highest] = ends([...lower, ...upper]);
    return [Math.max(Math.min(low, lowest), low - span) - 0.05 * span, Math.min(Math.max(high, highest), high + span) + 0.05 * span];
  };
  return {
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: false }, y: { range: near } },
    series: [
      {},
      { label: "lower", stroke: "transparent", points: { show: false } },
      { label: "upper", stroke: "transparent", points: { show: false } },
      { label: "prediction", stroke: link, width: 2, points: { show: false } },
      { label: "target", stroke: css("--ink"), paths: () => null, points: { show: true, size: 4, fill: css("--ink"), stroke: css("--ink") } },
    ],
    bands: [{ series: [2, 1], fill: `color-mix(in srgb, ${link} 20%, transparent)` }],
    axes: [
      axis({ values: (_, ticks) => ticks.map(count), space: 80, size: 32 }),
      axis({ values: (_, ticks) => ticks.map(tickNumber), size: 56, label: "target", labelSize: 16, labelFont: "12px system-ui, sans-serif", labelGap: 0 }),
    ],
  };
}

function ends(values) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
}
