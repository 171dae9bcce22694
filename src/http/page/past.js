// What was, of one partition: from the history, and from what has come since.

import { json } from "./daemon.js";
import { secondsOf } from "./link.js";

/** Seconds of a window up to which each second is drawn; for longer ones the history is asked again now and then. */
const BY_SECOND = 900;
const MAX_EVENTS = 1000;
const FIGURES = ["records_per_second", "lag_records", "lag_seconds", "coverage", "rmse", "mae", "skill"];

/** Names of events as they are marked. */
const KINDS = { drift: "drift", guard: "rescue", champion_changed: "champion" };

export const marked = (mark) => ({ ...mark, kind: KINDS[mark.kind] ?? mark.kind });

export class Past {
  constructor() {
    this.clear();
  }

  clear() {
    [this.times, this.series, this.models, this.marks, this.resolution] = [[], {}, [], [], 1];
  }

  /** Asks for a window that ends now, or for a span. */
  async load({ partition, window, span }) {
    const length = span ? Math.max(1, Math.ceil(span[1] - span[0])) : secondsOf(window);
    const said = new URLSearchParams({ window: `${length}s`, points: BY_SECOND + 100 });
    if (partition !== null) said.set("partition", partition);
    if (span) said.set("to", Math.ceil(span[1]));
    const told = await json(`api/v1/history?${said}`);
    this.clear();
    this.resolution = told.resolution_seconds;
    this.models = told.models.map((model) => model.name);
    this.marks = told.marks.map(marked);
    told.times.forEach((time, i) => {
      this.gap(time);
      this.times.push(time);
      FIGURES.forEach((name) => this.put(name, told[name][i]));
      told.models.forEach((model) => ["rmse", "mae"].forEach((name) => this.put(`${name} of ${model.name}`, model[name][i])));
    });
  }

  /** True where what comes is added; else it has to be asked for again. */
  get isLive() {
    return this.resolution === 1;
  }

  /** Adds standings as they come. */
  add(time, partition, window) {
    const second = Math.floor(time);
    if (!this.isLive || second <= (this.times.at(-1) ?? 0)) return;
    this.gap(second);
    this.times.push(second);
    this.put("records_per_second", partition.records_per_second);
    this.put("lag_records", partition.lag);
    this.put("lag_seconds", partition.lag_seconds);
    this.put("coverage", partition.coverage);
    ["rmse", "mae", "skill"].forEach((name) => this.put(name, partition.published[name]));
    for (const model of partition.models) {
      if (!this.models.includes(model.name)) this.models.push(model.name);
      ["rmse", "mae"].forEach((name) => this.put(`${name} of ${model.name}`, model[name]));
    }
    const old = this.times.findIndex((it) => it > second - secondsOf(window) - 5);
    if (old > 60) {
      this.times.splice(0, old);
      Object.values(this.series).forEach((values) => values.splice(0, old));
    }
  }

  mark(event) {
    if (event.kind !== "outlier") this.marks.push(marked(event));
    if (this.marks.length > MAX_EVENTS) this.marks.shift();
  }

  /** Leaves a gap in the lines where nothing was seen. */
  gap(time) {
    const last = this.times.at(-1);
    if (last !== undefined && time - last > 3 * this.resolution) this.times.push(last + this.resolution);
  }

  /** Puts a value at the newest time. */
  put(name, value) {
    const values = (this.series[name] ??= []);
    while (values.length < this.times.length - 1) values.push(null);
    values.push(value ?? null);
  }

  /** The values of a series, one for each time. */
  of(name) {
    const values = this.series[name] ?? [];
    return values.length < this.times.length ? [...values, ...Array(this.times.length - values.length).fill(null)] : values;
  }
}
