// Writes the rows with JSON.stringify: one file each in the folder named by the argument.
"use strict";
const { writeFileSync } = require("fs");
const { join } = require("path");

const rows = Array.from({ length: 300 }, (_, k) => ({
  i: k % 5 === 2 ? (k % 2 ? Infinity : -Infinity) : k % 11,
  m: k % 4 === 3 ? undefined : k % 13,
  n: k % 3 === 1 ? NaN : k % 7,
  x: (k % 50) / 8,
  y: (k % 5) + (k % 50) / 8,
}));
const lines = (name, replacer) =>
  writeFileSync(join(process.argv[2], `${name}.jsonl`), rows.map((row) => JSON.stringify(row, replacer) + "\n").join(""));
lines("stringify");
lines("stringify_text", (_, value) => (typeof value === "number" ? String(value) : value));
// Times as JSON.stringify and programs write them; those of times.py.
const times = (name, time) => {
  const row = (_, k) => JSON.stringify({ t: time(new Date(1774747800000 + 7500 * k)), id: `k${k}`, x: k % 7, y: (k % 7) + 1 }) + "\n";
  writeFileSync(join(process.argv[2], "times", `${name}.jsonl`), Array.from({ length: 40 }, row).join(""));
};
times("js_date", (time) => time);
times("js_ms", (time) => time.getTime());
