// Writes the rows with JSON.stringify and with libraries that write what it cannot, which the second argument has: one file each in the
// folder named by the first.
"use strict";
const { writeFileSync } = require("fs");
const { createRequire } = require("module");
const { join } = require("path");
const { pathToFileURL } = require("url");

const [folder, modules] = process.argv.slice(2);
const installed = createRequire(join(modules, "package.json"));
const Decimal = installed("decimal.js");
const bigint = installed("json-bigint");
const protobuf = installed("protobufjs");

const rows = Array.from({ length: 300 }, (_, k) => ({
  i: k % 5 === 2 ? (k % 2 ? Infinity : -Infinity) : k % 11,
  m: k % 4 === 3 ? undefined : k % 13,
  n: k % 3 === 1 ? NaN : k % 7,
  x: (k % 50) / 8,
  y: (k % 5) + (k % 50) / 8,
}));
const lines = (name, write) => writeFileSync(join(folder, `${name}.jsonl`), rows.map((row) => write(row) + "\n").join(""));
lines("stringify", (row) => JSON.stringify(row));
lines("stringify_text", (row) => JSON.stringify(row, (_, value) => (typeof value === "number" ? String(value) : value)));
lines("decimal_js", (row) => JSON.stringify({ ...row, x: new Decimal(row.x) }));
// Times as JSON.stringify and programs write them; those of times.py.
const times = (name, write) => {
  const row = (_, k) => write({ t: new Date(1774747800000 + 7500 * k), id: `k${k}`, x: k % 7, y: (k % 7) + 1 }, k) + "\n";
  writeFileSync(join(folder, "times", `${name}.jsonl`), Array.from({ length: 40 }, row).join(""));
};
times("js_date", (row) => JSON.stringify(row));
times("js_ms", (row) => JSON.stringify({ ...row, t: row.t.getTime() }));
times("json_bigint", (row, k) => bigint.stringify({ ...row, t: row.t.getTime(), id: bigint.parse(`${18446744073709551617n + BigInt(k)}`) }));
const { Row } = protobuf.parse('syntax = "proto3"; message Row { int64 t = 1; uint64 id = 2; int32 x = 3; int32 y = 4; }').root;
times("protobufjs", (row, k) => {
  const [t, id] = [BigInt(row.t.getTime()) * 1000000n, 18446744073709551000n + BigInt(k)];
  // Read back, as by those who pass on what they got.
  return JSON.stringify(Row.decode(Row.encode(Row.fromObject({ ...row, t: String(t), id: String(id) })).finish()));
});
(async () => {
  const { default: superjson } = await import(pathToFileURL(join(modules, "node_modules/superjson/dist/index.js")));
  lines("superjson", (row) => superjson.stringify(row));
  times("superjson", (row) => superjson.stringify(row));
})();
