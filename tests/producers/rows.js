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
