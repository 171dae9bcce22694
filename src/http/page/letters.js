// The latest dead letters, in full.

import { json, lines } from "./daemon.js";
import { showLetters } from "./panels.js";
import { many } from "./words.js";

/** Letters that are shown. */
const SHOWN = 3;
/** Partitions that are looked at for them. */
const PARTITIONS = 8;

const text = (bytes) => (bytes === null || bytes === undefined ? "" : (bytes.text ?? `base64: ${bytes.base64}`));

function letter({ headers, key, value, timestamp, offset }) {
  const said = (name) => text(headers[`thalweg.${name}`]);
  const row = said("row");
  const source = [said("topic"), said("partition"), said("offset")].join("/") + (row && `, row ${row}`);
  return { timestamp, offset, reason: said("reason"), error: said("error"), source, key: text(key), value: value === null ? "(no value)" : text(value) };
}

/** Sends those of a reason back, or all; says what became of them. */
async function sendBack(reason) {
  try {
    const body = JSON.stringify(reason ? { reason } : {});
    const done = await json("api/v1/dead-letters/retry", { method: "POST", headers: { "content-type": "application/json" }, body });
    const others = [["sent before", done.already], ["being sent by others", done.busy], ["cut", done.cut], ["too large", done.too_large], ["of another topic", done.homeless]];
    const told = others.filter(([, times]) => times > 0).map(([what, times]) => `, ${times} ${what}`);
    return `${many(done.sent, "letter")} sent back${told.join("")}.`;
  } catch (error) {
    return `Not sent: ${error.message}`;
  }
}

/** Shows the latest few of `count`. */
export async function showLatest(status, count) {
  if (count === 0) return showLetters([], [], sendBack);
  const topic = encodeURIComponent(status.topics.dead_letters);
  const partitions = status.partitions.filter((it) => it.dead_letters > 0).slice(0, PARTITIONS);
  try {
    const of = ({ partition }) => lines(`api/v1/topics/${topic}/records?partition=${partition}&limit=${SHOWN}`);
    const letters = (await Promise.all(partitions.map(of))).flat().map(letter);
    const reasons = [...new Set(status.partitions.flatMap((it) => Object.keys(it.dead_letters_by_reason)))];
    showLetters(letters.sort((a, b) => b.timestamp - a.timestamp || b.offset - a.offset).slice(0, SHOWN), reasons, sendBack);
  } catch (error) {
    showLetters([], [], sendBack, `They cannot be shown here (${error.message}); thalweg dead-letters show does.`);
  }
}
