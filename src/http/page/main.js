// The dashboard: keeps what was chosen, asks the daemon, and shows what it tells.

import { Plot, beside, cut, fromZero, look, overTime } from "./charts.js";
import { TokenNeeded, json, listen, setToken } from "./daemon.js";
import { showLatest } from "./letters.js";
import { FIGURES, WINDOWS, read, secondsOf, write } from "./link.js";
import { make, put, showFeatures, showHealth, showModels, showNow, showPartitions, showReasons, table } from "./panels.js";
import { Past } from "./past.js";
import { clock, figure } from "./words.js";

const byId = (id) => document.getElementById(id);

/** Predictions that are drawn. */
const MAX_PREDICTIONS = 240;
/** Models that have a line at once, unless they are chosen. */
const MAX_LINES = 12;
const MAX_EVENTS_SHOWN = 10;
/** Seconds that a plot over time shows at least. */
const MIN_RANGE = 60;
/** Milliseconds between two looks at all partitions, where the stream is about one. */
const POLL = 2000;
const POLL_MANY = 10000;
const MANY_PARTITIONS = 100;

let choice = read(location.hash);
let status;
/** The partition that is shown, once there is one. */
let shown = null;
let stop;
let lost = null;
let started;
let letters = -1;
let pointed = null;
const past = new Past();
let predictions = [];
let loading = 0;
let beginning = 0;

// --- plots

const published = { label: "published" };
/** Names of the models in the order of the settings, as they have been seen. */
const models = () => past.models;
const isHidden = (name) => choice.hidden.has(name);
/** A window that is longer than the past begins with it. */
const ranged = () => choice.span ?? [Math.max(now() - secondsOf(choice.window), Math.min(past.times[0] ?? 0, now() - MIN_RANGE)), now()];
const now = () => past.times.at(-1) ?? Date.now() / 1000;

const lineOf = (name, more) => ({ label: name, show: !isHidden(name), spanGaps: false, points: { show: false }, ...more });

const errorPlot = new Plot(byId("error-plot"), () =>
  overTime({
    lines: [lineOf(published.label, { stroke: token("--ink"), width: 2.5 }), ...models().map((name, i) => lineOf(name, { ...look(i), width: 1.5 }))],
    range: (plot) => cut(plot.series.flatMap((line, i) => (i > 0 && line.show ? inView(plot, i) : []))),
    marks: () => past.marks.filter(({ kind }) => ["drift", "rescue", "champion"].includes(kind)),
    zoom: (span) => choose({ span }),
    back: () => choose({ span: null }),
    pointed: (i) => {
      pointed = i;
      showLegend();
    },
    unit: `${FIGURES[choice.figure]}, in units of the target`,
  }),
);
const timePlot = (id, name, colour, unit, least) =>
  new Plot(byId(id), () =>
    overTime({
      lines: [lineOf(name, { show: true, stroke: token(colour), fill: `color-mix(in srgb, ${token(colour)} 14%, transparent)`, width: 1.5 })],
      range: (plot) => fromZero(inView(plot, 1), least),
      zoom: (span) => choose({ span }),
      back: () => choose({ span: null }),
      unit,
    }),
  );
const ratePlot = timePlot("rate-plot", "records_per_second", "--link", "records/s", 1);
const lagPlot = timePlot("lag-plot", "lag_records", "--mark", "lag, records", 10);
const livePlot = new Plot(byId("live-plot"), beside);

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function inView(plot, i) {
  const { min, max } = plot.scales.x;
  return plot.data[i].filter((_, at) => plot.data[0][at] >= min && plot.data[0][at] <= max);
}

let drawnModels = "";
function draw() {
  const wanted = JSON.stringify([models(), [...choice.hidden], choice.figure]);
  if (wanted !== drawnModels) {
    drawnModels = wanted;
    errorPlot.rebuild();
  }
  const series = models().map((name) => past.of(`${choice.figure} of ${name}`));
  errorPlot.draw([past.times, past.of(choice.figure), ...series], ranged());
  ratePlot.draw([past.times, past.of("records_per_second")], ranged());
  lagPlot.draw([past.times, past.of("lag_records")], ranged());
  showLegend();
  const covers = past.resolution === 1 ? "" : ` Each point is the mean of ${past.resolution < 60 ? `${past.resolution} s` : past.resolution < 3600 ? `${past.resolution / 60} min` : "an hour"}.`;
  put("error-about", `Over the last metrics.window samples, of partition ${shown ?? "–"}. Drag over the plot to zoom, click twice to come back; peaks far beyond the rest are cut.${covers}`);
}

function showLegend() {
  const at = pointed ?? past.times.length - 1;
  const names = [published.label, ...models()];
  const legend = byId("legend");
  if (legend.childElementCount !== names.length || [...legend.children].some((it, i) => it.dataset.model !== names[i])) {
    legend.replaceChildren(...names.map((name, i) => legendButton(name, i - 1)));
  }
  [...legend.children].forEach((button, i) => {
    const name = names[i];
    button.setAttribute("aria-pressed", String(!isHidden(name)));
    const values = past.of(i === 0 ? choice.figure : `${choice.figure} of ${name}`);
    const text = figure(values[at]);
    if (button.lastChild.textContent !== text) button.lastChild.textContent = text;
  });
}

function legendButton(name, place) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 10");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", "M0 5H24");
  path.setAttribute("class", place < 0 ? "line" : `line c${place % 6}${Math.floor(place / 6) % 2 ? " dashed" : ""}`);
  svg.append(path);
  const button = make("button", { type: "button", "data-model": name }, svg, name, make("b"));
  button.addEventListener("click", () => {
    const hidden = new Set(choice.hidden);
    if (!hidden.delete(name)) hidden.add(name);
    choose({ hidden });
  });
  return button;
}

let liveDue = false;
/** Where a prediction's sample stands: its record's offset, and of one of many rows (100,000 at most) its part of the way to the next. */
const place = ({ offset, row }) => offset + (row ?? 0) / 1e5;

function drawLive() {
  if (liveDue) return;
  liveDue = true;
  setTimeout(() => {
    liveDue = false;
    if (predictions.length < 2) return;
    const column = (name) => predictions.map((it) => it[name] ?? null);
    const offsets = predictions.map(place);
    livePlot.draw([offsets, column("lower"), column("upper"), column("prediction"), column("target")], [offsets[0], offsets.at(-1)]);
    const newest = predictions.at(-1);
    put("live-about", `About ten a second of partition ${newest.partition}, by the sample's offset. The newest: predicted ${figure(newest.prediction)} by ${newest.model}, target ${figure(newest.target)}.`);
  }, 250);
}

function showEvents() {
  const [from, to] = ranged();
  const within = past.marks.filter(({ time }) => time / 1000 >= from && (!choice.span || time / 1000 <= to));
  const items = within.slice(-MAX_EVENTS_SHOWN).reverse().map(({ time, kind, told }) =>
    make("li", {}, make("time", { text: clock(time / 1000), datetime: new Date(time).toISOString() }), make("i", { class: `key ${kind}` }), make("span", { text: told })),
  );
  const more = within.length > items.length ? [make("li", {}, make("span", { class: "soft", text: `and ${within.length - items.length} before them` }))] : [];
  byId("events").replaceChildren(...(items.length ? [...items, ...more] : [make("li", {}, make("span", { class: "soft", text: "nothing in this window" }))]));
}

// --- what the daemon tells

/** Shows the status of all partitions. */
function showAll(told) {
  status = told;
  if (started !== undefined && started !== told.started) {
    notice(`The daemon was started anew at ${clock(told.started)}; this page goes on with it.`);
    predictions = [];
    reload();
  }
  started = told.started;
  showHealth(told);
  showPartitions(told.partitions, shown);
  choosePartitions(told.partitions.map((it) => it.partition));
  const dead = showReasons(told.partitions);
  if (dead !== letters) {
    letters = dead;
    showLatest(told, dead);
  }
  table("topics", ["topic", ["holds", "text"]], Object.entries(told.topics).map(([holds, name]) => ({ cells: [name, [holds.replace("_", " "), "text"]] })));
}

/** Shows standings as they come. */
function showStandings(told) {
  const partition = told.partitions.find((it) => it.partition === shown);
  if (!status || status.partitions.length <= 1 || told.started !== started) showAll(told);
  if (!partition) return;
  showNow(partition);
  showModels(partition);
  chooseModels(partition.models);
  if (!choice.span) {
    past.add(told.time, partition, choice.window);
    draw();
  }
}

function take({ kind, data }) {
  if (kind === "standings") showStandings(data);
  if (kind === "prediction" && data.partition === shown) {
    predictions.push(data);
    // A worker that begins again makes some anew.
    if (predictions.length > 1 && place(predictions.at(-2)) >= place(data)) predictions = [data];
    if (predictions.length > MAX_PREDICTIONS) predictions.shift();
    drawLive();
  }
  if (kind === "event" && data.partition === shown) {
    past.mark(data);
    showEvents();
  }
}

function tell(isHeard, error) {
  if (error instanceof TokenNeeded) return askForToken();
  const connection = byId("connection");
  connection.className = `state ${isHeard ? "on" : "off"}`;
  put("connection", isHeard ? "live" : "not connected");
  if (isHeard && lost !== null) {
    if (byId("notice").textContent.startsWith("The daemon does not answer")) notice(`The daemon answers again, after ${Math.round((Date.now() - lost) / 1000)} s.`);
    lost = null;
    reload();
  } else if (!isHeard && lost === null) {
    lost = Date.now();
    notice(`The daemon does not answer since ${clock(lost / 1000)}; trying again each second.`);
  }
}

let noticed;
function notice(text) {
  put("notice", text);
  byId("notice").hidden = false;
  clearTimeout(noticed);
  noticed = setTimeout(() => (byId("notice").hidden = lost === null), 60000);
}

function askForToken() {
  byId("token").hidden = false;
  put("connection", "a token is needed");
}

/** Asks for the past anew. */
async function reload() {
  const mine = ++loading;
  try {
    const fresh = new Past();
    await fresh.load({ ...choice, partition: shown });
    if (mine !== loading) return;
    Object.assign(past, fresh);
    draw();
    showEvents();
  } catch (error) {
    if (error instanceof TokenNeeded) askForToken();
    else if (lost === null) notice(`The history cannot be shown: ${error.message}`);
  }
}

async function poll() {
  if (document.hidden || choice.paused || lost !== null) return;
  try {
    showAll(await json("api/v1/status"));
  } catch (error) {
    if (error instanceof TokenNeeded) askForToken();
  }
}

/** Begins to listen, about the partition that is chosen. */
async function begin() {
  const mine = ++beginning;
  stop?.();
  stop = undefined;
  // A line over what was not seen would be made up.
  predictions = [];
  if (choice.paused || document.hidden) {
    if (choice.paused) {
      byId("connection").className = "state";
      put("connection", "paused");
    }
    if (!choice.paused || status) return;
  }
  try {
    showAll(await json("api/v1/status"));
  } catch (error) {
    tell(false, error);
    if (error instanceof TokenNeeded) return;
    setTimeout(() => mine === beginning && begin(), 1000);
    return;
  }
  if (mine !== beginning) return;
  const numbers = status.partitions.map((it) => it.partition);
  shown = numbers.includes(choice.partition) ? choice.partition : (numbers[0] ?? null);
  if (shown === null) {
    setTimeout(() => mine === beginning && begin(), 500);
    return;
  }
  choosePartitions(numbers);
  showPartitions(status.partitions, shown);
  if (lost !== null) tell(true);
  await reload();
  if (mine !== beginning) return;
  showStandings(status);
  explain();
  if (!choice.paused) stop = listen(`api/v1/stream?partition=${shown}&rate=10`, take, tell);
}

async function explain() {
  const model = byId("feature-model").value;
  try {
    const said = new URLSearchParams({ partition: shown });
    if (model) said.set("model", model);
    const told = await json(`api/v1/features?${said}`);
    showFeatures(told, told.model);
  } catch (error) {
    put("features-about", error.message);
  }
}

// --- what is chosen

function choose(change) {
  const before = choice;
  choice = { ...choice, ...change };
  history.replaceState(null, "", write(choice));
  showChoice();
  if (choice.partition !== before.partition || choice.paused !== before.paused) {
    if (choice.partition !== before.partition) letters = -1;
    begin();
  } else if (choice.window !== before.window || choice.span !== before.span) {
    reload();
  } else {
    draw();
  }
}

function showChoice() {
  const press = (id, value) => [...byId(id).children].forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === value)));
  press("window", choice.span ? "" : choice.window);
  press("figure", choice.figure);
  byId("pause").setAttribute("aria-pressed", String(choice.paused));
  put("pause", choice.paused ? "Go on" : "Pause");
  byId("live").hidden = choice.span === null;
}

function options(select, values, value, text = (it) => it) {
  const wanted = JSON.stringify(values);
  if (select.dataset.values !== wanted) {
    select.dataset.values = wanted;
    select.replaceChildren(...values.map((it) => make("option", { value: it, text: text(it) })));
  }
  if (value !== undefined && document.activeElement !== select) select.value = value;
}

function choosePartitions(numbers) {
  byId("partition-choice").hidden = numbers.length < 2;
  options(byId("partition"), numbers, shown ?? numbers[0]);
}

function chooseModels(all) {
  options(byId("feature-model"), ["", ...all.map((model) => model.name)], undefined, (name) => name || "the best one");
  // Of many models the best are drawn, unless somebody has chosen.
  if (all.length > MAX_LINES && choice.hidden.size === 0) {
    const ranked = [...all].sort((a, b) => (a.rmse ?? Infinity) - (b.rmse ?? Infinity));
    choice = { ...choice, hidden: new Set(ranked.slice(MAX_LINES).map((model) => model.name)) };
  }
}

function buttons(id, values, chosen) {
  byId(id).replaceChildren(...Object.entries(values).map(([value, text]) => {
    const button = make("button", { type: "button", text, "data-value": value });
    button.addEventListener("click", () => chosen(value));
    return button;
  }));
}

buttons("window", Object.fromEntries(WINDOWS.map((window) => [window, window])), (window) => choose({ window, span: null }));
buttons("figure", FIGURES, (figure) => choose({ figure }));
byId("partition").addEventListener("change", (event) => choose({ partition: Number(event.target.value) }));
byId("pause").addEventListener("click", () => choose({ paused: !choice.paused }));
byId("live").addEventListener("click", () => choose({ span: null }));
byId("explain").addEventListener("click", explain);
byId("feature-model").addEventListener("change", explain);
byId("copy").addEventListener("click", async () => {
  history.replaceState(null, "", write({ ...choice, partition: shown }));
  try {
    await navigator.clipboard.writeText(location.href);
    put("copy", "Copied");
  } catch {
    // Clipboards are for secure addresses only; the address bar holds the link all the same.
    put("copy", "It is in the address bar");
  }
  setTimeout(() => put("copy", "Copy link"), 2000);
});
byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(new FormData(event.target).get("token"));
  byId("token").hidden = true;
  begin();
});
addEventListener("hashchange", () => {
  choice = read(location.hash);
  showChoice();
  begin();
});
document.addEventListener("visibilitychange", begin);

let polled = 0;
setInterval(() => {
  const partitions = status?.partitions.length ?? 0;
  const every = partitions > MANY_PARTITIONS ? POLL_MANY : POLL;
  if (partitions > 1 && Date.now() - polled >= every) {
    polled = Date.now();
    poll();
  }
}, 500);
// What is not drawn second by second is asked for again.
setInterval(() => {
  if (!past.isLive && !choice.span && !choice.paused && !document.hidden && lost === null) reload();
}, 10000);

showChoice();
begin();
