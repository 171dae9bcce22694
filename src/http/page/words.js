// Numbers and times for people. A figure that does not exist yet is a dash.

export const NONE = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** Four significant digits. */
export function figure(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  const digits = size === 0 ? 0 : Math.max(0, 3 - Math.floor(Math.log10(size)));
  return value.toLocaleString("en", { minimumFractionDigits: Math.min(digits, 4), maximumFractionDigits: digits });
}

/** A whole number, with its thousands apart. */
export const count = (value) => (known(value) ? Math.round(value).toLocaleString("en") : NONE);

/** A share as percent, with one decimal. */
export const percent = (value) => (known(value) ? `${(100 * value).toFixed(1)} %` : NONE);

/** How many, of what. */
export const many = (value, one, more = `${one}s`) => `${count(value)} ${Math.round(value) === 1 ? one : more}`;

export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  while (value >= 1024 && at + 1 < units.length) [value, at] = [value / 1024, at + 1];
  return `${at === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[at]}`;
}

/** A time that has passed. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

export const rate = (value) => (known(value) ? `${value < 10 ? figure(value) : count(value)}/s` : NONE);

const pad = (number) => String(number).padStart(2, "0");

/** The time of day, with the date where it is another day's. */
export function clock(seconds, today = new Date()) {
  const at = new Date(seconds * 1000);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return at.toDateString() === today.toDateString() ? time : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`;
}

/** A lag of so many seconds' records, or of so few, is none to speak of. */
const SOON = 5;
const FEW = 500;

/** How the daemon is, in one sentence, and how serious that is. */
export function health(status) {
  const { partitions } = status;
  if (!status.healthy) return ["bad", `Not healthy: ${status.summary}.`];
  if (status.contact === "opening" || partitions.length === 0) return ["wait", `Starting: ${status.contact === "opening" ? status.summary : "no partition has been given to this process yet"}.`];
  const sum = (of) => partitions.reduce((all, it) => all + (it[of] ?? 0), 0);
  const lag = sum("lag");
  const records = sum("records_per_second");
  const speed = `${records < 10 ? figure(records) : count(records)} records/s`;
  const from = partitions.length === 1 ? "" : ` from ${partitions.length} partitions`;
  const waits = lag === 0 ? "nothing waits" : `${many(lag, "record")} ${lag === 1 ? "waits" : "wait"}`;
  const late = status.contact === "outage" ? " The transport does not answer." : status.contact === "throttled" ? " A quota of the broker's holds it back." : "";
  const skills = partitions.map((it) => it.published.skill).filter(known);
  const worst = Math.min(...skills);
  const worth = skills.length === 0 ? "" : worst < 0 ? " What is published is worse than guessing the mean." : ` What is published is ${partitions.length > 1 ? "at least " : ""}${percent(worst)} better than guessing the mean.`;
  if (!status.ready) return ["wait", `Catching up: ${many(lag, "record")} wait, ${speed} go through${from}.${late}`];
  const behind = lag > Math.max(SOON * records, FEW);
  const well = !late && !behind && !(worst < 0);
  return [well ? "good" : "wait", `${well ? "All is well" : behind ? "Behind" : "Learning"}: ${speed} go through${from}, ${waits}.${worth}${late}`];
}
