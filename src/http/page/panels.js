// The parts of the page that are text and tables.

import { bytes, count, duration, figure, health, many, percent, rate } from "./words.js";

const byId = (id) => document.getElementById(id);

export const put = (id, text) => {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
};

/** Makes an element. */
export function make(name, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

/** Rows of a table that are shown at most. */
const MAX_ROWS = 200;

/** Fills a table. A cell is a text, or a text with a class. */
export function table(id, head, rows) {
  const cell = (name) => (it) => (Array.isArray(it) ? make(name, { text: it[0], class: it[1] }) : make(name, { text: it }));
  const heads = make("tr", {}, ...head.map((it) => { const made = cell("th")(it); made.scope = "col"; return made; }));
  const shown = rows.slice(0, MAX_ROWS).map(({ cells, best }) => make("tr", best ? { class: "best" } : {}, ...cells.map(cell("td"))));
  if (rows.length > MAX_ROWS) shown.push(make("tr", {}, make("td", { text: `and ${rows.length - MAX_ROWS} more, in /api/v1/status`, colspan: head.length })));
  byId(id).replaceChildren(make("thead", {}, heads), make("tbody", {}, ...shown));
}

/** The sentence at the top, which is about all partitions. */
export function showHealth(status) {
  const [kind, sentence] = health(status);
  byId("health").className = `health ${kind}`;
  put("verdict", sentence);
  put("about", `learns from ${status.topic} (${status.transport}), version ${status.version}`);
  document.title = `${kind === "bad" ? "⚠ " : ""}${status.topic} · Thalweg`;
}

/** What is published of one partition now. */
export function showNow(partition) {
  const champion = partition.models.find((model) => model.champion);
  put("champion", partition.champion || "–");
  put("champion-about", champion ? `${champion.kind}, has learned from ${many(partition.version, "sample")}` : "");
  const { rmse, mae, skill } = partition.published;
  [["rmse", figure(rmse)], ["mae", figure(mae)], ["skill", percent(skill)], ["coverage", percent(partition.coverage)]].forEach(([id, text]) => put(id, text));
  const width = partition.width === null ? "" : `, ${figure(partition.width)} wide in units of the target`;
  put("width", `of targets within the interval${width}`);
}

export function showPartitions(partitions, chosen) {
  const head = ["partition", "lag (records)", "lag (seconds)", "rate", "records", "predictions", "missed", ["champion", "text"]];
  const rows = partitions.map((it) => ({
    best: partitions.length > 1 && it.partition === chosen,
    cells: [String(it.partition), count(it.lag), duration(it.lag_seconds), rate(it.records_per_second), count(it.records), count(it.predictions), count(it.missed), [it.champion, "text"]],
  }));
  table("partitions", head, rows);
  const age = (it) => (it.checkpoint_age_seconds === null ? "none since the start" : `${duration(it.checkpoint_age_seconds)} ago`);
  const saved = partitions.map((it) => ({ cells: [String(it.partition), age(it), many(it.unsaved, "record"), bytes(it.checkpoint_bytes)] }));
  table("checkpoints", ["partition", "last one", "learned since", "size"], saved);
}

export function showModels(partition) {
  const memory = partition.models.reduce((all, model) => all + model.memory_bytes, 0);
  put("models-about", `Errors over the last metrics.window samples, in units of the target. All have learned from ${many(partition.version, "sample")}, which is their version; together they take ${bytes(memory)}.`);
  const head = ["model", ["kind", "text"], "RMSE", "MAE", "R²", "skill", "size", "scored", "refused", "drifts", "rescues"];
  const rows = partition.models.map((it) => ({
    best: it.champion,
    cells: [it.name, [it.kind, "text"], figure(it.rmse), figure(it.mae), figure(it.r2), percent(it.skill), bytes(it.memory_bytes), count(it.scored), count(it.refused), count(it.drifts), count(it.rescues)],
  }));
  table("models", head, rows);
}

/** The sum of dead letters by reason, of all partitions. */
export function showReasons(partitions) {
  const reasons = {};
  let all = 0;
  for (const partition of partitions) {
    all += partition.dead_letters;
    Object.entries(partition.dead_letters_by_reason).forEach(([reason, times]) => (reasons[reason] = (reasons[reason] ?? 0) + times));
  }
  const records = partitions.reduce((sum, it) => sum + it.records, 0);
  const share = records > 0 ? `, ${all / records < 0.001 ? "less than 0.1 %" : percent(all / records)} of all` : "";
  put("dead-about", all === 0 ? "Every record could be used." : `${many(all, "record")} could not be used${share}.`);
  byId("reasons").hidden = Object.keys(reasons).length === 0;
  const rows = Object.entries(reasons).sort(([, a], [, b]) => b - a).map(([reason, times]) => ({ cells: [reason, count(times)] }));
  table("reasons", ["reason", "records since the start"], rows);
  return all;
}

export function showFeatures({ method, samples, features, age_seconds }, model) {
  const words = { standardised_weights: "standardised weights", variance_reduction: "variance reduction", permutation: "permutation" };
  put("features-about", features.length === 0 ? `${model} sees no features, or has learned from too few samples.` : `What matters to ${model}, by ${words[method]} over the last ${count(samples)} samples before the last checkpoint${age_seconds === null ? "" : `, ${duration(age_seconds)} ago`}.`);
  const rows = features.slice(0, 12).map(({ feature, share }) => {
    const bar = make("i");
    bar.style.width = `${(100 * share).toFixed(1)}%`;
    return make("tr", {}, make("td", { text: feature }), make("td", { text: percent(share) }), make("td", {}, bar));
  });
  const head = make("tr", {}, ...["feature", "share", "of what is explained"].map((text) => make("th", { text, scope: "col" })));
  byId("features").replaceChildren(...(rows.length ? [make("thead", {}, head), make("tbody", {}, ...rows)] : []));
}

/** The latest dead letters, or why there are none to see, and buttons that send them back, by reason. */
export function showLetters(letters, reasons, sendBack, problem = "") {
  const one = ({ reason, error, source, key, value }) => {
    const said = [`${reason} from ${source}`, error, key && `key ${key}`].filter(Boolean).join(" · ");
    return make("div", {}, make("p", { class: "soft", text: said }), make("pre", {}, make("code", { text: value })));
  };
  const heading = make("h3", { text: `The latest ${letters.length === 1 ? "one" : letters.length}` });
  const told = problem ? [make("p", { class: "soft", text: problem })] : [];
  byId("letters").replaceChildren(...told, ...(letters.length ? [heading, ...letters.map(one), retries(reasons, sendBack)] : []));
}

/** What the last retry has come to. It stays where new letters are shown meanwhile. */
let retried = "Once the cause is mended they can go back into the samples topic; none goes twice.";

function retries(reasons, sendBack) {
  const result = make("p", { id: "retried", class: "soft", role: "status", text: retried });
  const button = (reason) => {
    const made = make("button", { type: "button", text: `Send ${reason ?? "all"} back` });
    made.addEventListener("click", async () => {
      made.disabled = true;
      retried = await sendBack(reason);
      put("retried", retried);
      made.disabled = false;
    });
    return made;
  };
  return make("div", {}, result, make("div", { class: "tools" }, ...(reasons.length === 1 ? [] : [button()]), ...reasons.map(button)));
}
