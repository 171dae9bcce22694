// What is shown, as the part of the address behind the #, so that a link shows the same.

export const WINDOWS = ["5m", "15m", "1h", "6h", "1d", "7d", "31d"];
export const FIGURES = { rmse: "RMSE", mae: "MAE" };

const UNITS = { m: 60, h: 3600, d: 86400 };

/** Seconds of a window. */
export const secondsOf = (window) => Number(window.slice(0, -1)) * UNITS[window.at(-1)];

/** Reads a choice; what it does not say, or says wrong, is as usual. */
export function read(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const span = (said.get("span") ?? "").split("-").map(Number);
  return {
    partition: /^\d+$/.test(said.get("partition") ?? "") ? Number(said.get("partition")) : null,
    window: WINDOWS.includes(said.get("window")) ? said.get("window") : "15m",
    figure: said.get("figure") in FIGURES ? said.get("figure") : "rmse",
    hidden: new Set(said.getAll("hide")),
    span: span.length === 2 && span[0] > 0 && span[1] > span[0] ? span : null,
    paused: said.get("paused") === "yes",
  };
}

/** Writes a choice. */
export function write({ partition, window, figure, hidden, span, paused }) {
  const said = new URLSearchParams();
  if (partition !== null) said.set("partition", partition);
  said.set("window", window);
  said.set("figure", figure);
  [...hidden].forEach((model) => said.append("hide", model));
  if (span) said.set("span", span.map(Math.round).join("-"));
  if (paused) said.set("paused", "yes");
  return `#${said}`;
}
