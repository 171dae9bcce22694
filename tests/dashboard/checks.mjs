// What has to hold of the dashboard: it shows what the daemon tells, follows it live and over a restart, is legible in both
// themes and on a phone, and asks for nothing from elsewhere.

import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Daemon } from "./daemon.mjs";

const [binary, scratch, pictures] = process.argv.slice(2);
const require = createRequire(join(process.env.NODE_PATH, "x.js"));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

const PATIENCE = 30000;
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1180, height: 900 };

let failed = 0;
let passed = 0;
const check = (holds, problem) => {
  if (holds) passed += 1;
  else {
    failed += 1;
    console.error(`FAILED: ${problem}`);
  }
};

/** A page that notes what it says and asks for; `settle` checks it in the end. */
async function open(browser, daemon, { fragment = "", viewport = DESK, scheme = "light", quiet = true } = {}) {
  const context = await browser.newContext({ viewport, colorScheme: scheme });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const [said, asked] = [[], []];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${daemon.address}/${fragment}`);
  page.settle = async (name) => {
    const elsewhere = asked.filter((url) => new URL(url).origin !== new URL(daemon.address).origin && !url.startsWith("data:"));
    check(elsewhere.length === 0, `${name}: it asks for ${elsewhere[0]}`);
    check(!quiet || said.length === 0, `${name}: the console says ${said.slice(0, 3).join(" | ")}`);
    await context.close();
  };
  return page;
}

const text = (page, selector) => page.locator(selector).first().innerText();

/** Waits until an element's text is as wanted. */
const says = (page, selector, pattern) => page.locator(selector).filter({ hasText: pattern }).first().waitFor({ state: "visible" });

/** Reads a number as people do: 1,234.5, 51.4 %, 3.2 MiB, 1.5e-4. */
function parsed(shown) {
  const found = /^(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*(%|KiB|MiB|GiB)?/.exec(shown.trim().replace("−", "-"));
  const unit = { "%": 0.01, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
  return found ? Number(found[1].replaceAll(",", "")) * (unit[found[2]] ?? 1) : NaN;
}

function checkFigure(shown, wanted, what, absolute = 0) {
  const near = wanted === null ? shown.trim() === "–" : Math.abs(parsed(shown) - wanted) <= Math.max(6e-4 * Math.abs(wanted), absolute);
  check(near, `${what} is shown as ${shown}, and is ${wanted}`);
}

const cells = (page, id) => page.locator(`#${id} tbody tr`).evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

/** All numbers of a daemon at rest are those of its status. */
async function showsWhatTheStatusTells(browser) {
  const daemon = await Daemon.start(binary, scratch, ["generator.count=6000", "generator.rate=0", "topics.partitions=2", "state.every=100ms"]);
  const rests = (status) => status.partitions.length === 2 && status.partitions.every((it) => it.confirmed === 3000 && it.unsaved === 0 && it.records_per_second === 0);
  const status = await daemon.until(rests);
  const page = await open(browser, daemon, { fragment: "#partition=1" });
  await says(page, "#verdict", /^All is well: 0 records\/s go through from 2 partitions, nothing waits/);
  await page.locator("#models tbody tr").first().waitFor();
  const partition = status.partitions[1];
  check((await page.locator("#partition").inputValue()) === "1", "the link's partition is not shown");
  check((await text(page, "#champion")) === partition.champion, "the champion is another one");
  for (const figure of ["rmse", "mae"]) checkFigure(await text(page, `#${figure}`), partition.published[figure], figure);
  checkFigure(await text(page, "#skill"), partition.published.skill, "skill", 6e-4);
  checkFigure(await text(page, "#coverage"), partition.coverage, "coverage", 6e-4);
  const models = await cells(page, "models");
  check(models.length === partition.models.length, `${models.length} models are shown`);
  partition.models.forEach((model, i) => {
    const [name, kind, rmse, mae, r2, skill, size, scored, refused, drifts, rescues] = models[i];
    check(name === model.name && kind === model.kind, `${name} is ${model.name}`);
    [[rmse, "rmse"], [mae, "mae"], [r2, "r2"], [scored, "scored"], [refused, "refused"], [drifts, "drifts"], [rescues, "rescues"]].forEach(([shown, key]) => checkFigure(shown, model[key], `${key} of ${name}`));
    checkFigure(skill, model.skill, `skill of ${name}`, 6e-4);
    checkFigure(size, model.memory_bytes, `size of ${name}`, 0.005 * model.memory_bytes);
  });
  const partitions = await cells(page, "partitions");
  status.partitions.forEach((it, i) => {
    const [number, lag, age, , records, predictions, missed, champion] = partitions[i];
    check(Number(number) === it.partition && champion === it.champion, `partition ${number} is ${it.partition}`);
    [[lag, it.lag], [age, it.lag_seconds], [records, it.records], [predictions, it.predictions], [missed, it.missed]].forEach(([shown, wanted], at) => checkFigure(shown, wanted, `column ${at} of partition ${number}`));
  });
  check((await cells(page, "topics")).map(([name]) => name).join() === Object.values(status.topics).join(), "the topics are others");
  await says(page, "#features-about", /What matters to \w+, by .+ over the last/);
  const shares = (await cells(page, "features")).map((row) => parsed(row[1]));
  check(shares.length > 4 && Math.abs(shares.reduce((a, b) => a + b) - 1) < 0.02, `the features' shares are ${shares}`);
  // The other partition is chosen, and the link holds it.
  const rmse = await text(page, "#rmse");
  await page.selectOption("#partition", "0");
  await says(page, "#error-about", /of partition 0/);
  await page.waitForFunction((before) => document.getElementById("rmse").textContent !== before, rmse);
  checkFigure(await text(page, "#rmse"), status.partitions[0].published.rmse, "rmse of partition 0");
  check(page.url().includes("partition=0"), `the link is ${page.url()}`);
  await page.settle("at rest");
  await daemon.kill();
}

/** The plots follow a drift as it happens; a link holds the choice; a pause pauses. */
async function followsAndIsChosen(browser) {
  const drift = 'generator.function={kind="friedman_drift",drift_type="gsg",position=[4000,9000],transition_window=200}';
  const daemon = await Daemon.start(binary, scratch, ["generator.rate=1000", drift]);
  const page = await open(browser, daemon);
  await says(page, "#connection", "live");
  await says(page, "#live-about", /The newest: predicted -?[\d.]+ by \w+, target -?[\d.]+/);
  const before = parsed(await text(page, "#rmse"));
  // It comes while the page looks on.
  await says(page, "#events", /drift: RMSE of/);
  const worse = (before) => Number(document.getElementById("rmse").textContent) > 1.05 * before;
  await page.waitForFunction(worse, Math.min(before, parsed(await text(page, "#rmse"))));
  const told = await daemon.ask("/api/v1/history?window=5m");
  const drifts = told.marks.filter((mark) => mark.kind === "drift").map((mark) => mark.told);
  check(drifts.length > 0, "the history has no drift");
  await says(page, "#events", drifts.at(-1));
  // A line is drawn: something coloured stands in many columns of the canvas. Text and grid are grey.
  const drawn = (id) => {
    const canvas = document.querySelector(`${id} canvas`);
    if (!canvas) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const isColoured = (i) => data[i + 3] > 100 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60;
    const columns = new Set();
    for (let i = 0; i < data.length; i += 4) if (isColoured(i)) columns.add((i / 4) % canvas.width);
    return columns.size > 30;
  };
  for (const id of ["#error-plot", "#live-plot", "#rate-plot"]) {
    const isDrawn = await page.waitForFunction(drawn, id).then(() => true, () => false);
    check(isDrawn, `${id} is empty`);
  }
  // Lines are switched off and on, figures and windows are chosen, and the address holds it.
  await page.click('#legend button[data-model="last"]');
  await page.click('#figure button[data-value="mae"]');
  await page.click('#window button[data-value="5m"]');
  const kept = "window=5m&figure=mae&hide=last";
  check(page.url().includes(kept), `the link is ${page.url()}`);
  const plot = await page.locator("#error-plot .u-over").boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.95, plot.y + 50);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width * 0.99, plot.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => location.hash.includes("span="));
  const link = page.url();
  const other = await open(browser, daemon, { fragment: new URL(link).hash });
  const pressed = (page) => page.locator('[aria-pressed="true"]').evaluateAll((all) => all.map((it) => it.dataset.value ?? it.dataset.model ?? it.id).join());
  await other.locator('#legend button[data-model="mean"]').waitFor();
  check((await pressed(other)) === (await pressed(page)), `${link} shows ${await pressed(other)}, and ${await pressed(page)} was chosen`);
  check(await other.locator("#live").isVisible(), "a span has no way back");
  await other.click("#live");
  check(!other.url().includes("span="), "back to now keeps the span");
  await other.settle("a link");
  // A pause: nothing changes, though the daemon goes on.
  await page.click("#pause");
  await says(page, "#connection", "paused");
  const [still, records] = [await text(page, "#partitions"), (await daemon.status()).partitions[0].records];
  await daemon.until((status) => status.partitions[0].records > records + 2500);
  check((await text(page, "#partitions")) === still, "it goes on while it is paused");
  await page.click("#pause");
  await says(page, "#connection", "live");
  await page.waitForFunction((before) => document.getElementById("partitions").innerText !== before, still);
  await page.settle("a drift");
  return daemon;
}

/** It says that the daemon is gone and has come back, and what was before is still there. */
async function survivesARestart(browser, daemon) {
  // What has failed to load is in the console, as it should be.
  const page = await open(browser, daemon, { fragment: "#window=5m", quiet: false });
  await says(page, "#connection", "live");
  const { times } = await daemon.ask("/api/v1/history?window=5m");
  // What is older than a minute at most is in the state file; all of it after a stop in order.
  daemon.child.kill("SIGTERM");
  await daemon.ended;
  await says(page, "#notice", "The daemon does not answer");
  await says(page, "#connection", "not connected");
  const next = await daemon.again();
  await says(page, "#notice", "The daemon was started anew");
  await says(page, "#connection", "live");
  const after = await next.ask("/api/v1/history?window=5m");
  check(after.times[0] === times[0], `the past began at ${times[0]}, and now at ${after.times[0]}`);
  const { records } = (await next.status()).partitions[0];
  await page.waitForFunction((records) => Number(document.querySelector("#partitions tbody tr").cells[4].textContent.replaceAll(",", "")) > records, records);
  await page.settle("a restart");
  return next;
}

/** Both themes, wide and narrow: nothing serious for axe, nothing to push sideways. */
async function isLegible(browser, daemon) {
  for (const scheme of ["light", "dark"]) {
    for (const [name, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
      const page = await open(browser, daemon, { scheme, viewport, fragment: "#window=5m" });
      await says(page, "#live-about", /The newest/);
      await says(page, "#features-about", /What matters/);
      const [wide, inside] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      check(wide <= inside, `${scheme}, ${name}: it is ${wide} wide, the window ${inside}`);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      check(scheme === "dark" ? /rgb\(2\d, 2\d, 2\d\)/.test(background) : /rgb\(25\d, /.test(background), `${scheme}: the page is ${background}`);
      writeFileSync(join(pictures, `${name}-${scheme}.png`), await page.screenshot({ fullPage: true }));
      // Its script may not be loaded by the page, whose policy forbids it, but by who drives the browser.
      await page.evaluate(readFileSync(AXE, "utf8"));
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      const told = serious.map(({ id, nodes }) => `${id} (${nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")})`);
      check(serious.length === 0, `${scheme}, ${name}: axe finds ${told.join("; ")}`);
      await page.settle(`${scheme}, ${name}`);
    }
  }
}

/** What could not be used is counted by reason, and the latest are there in full. */
async function showsDeadLetters(browser) {
  const folder = mkdtempSync(join(scratch, "letters-"));
  // The daemon makes the tables.
  execFileSync(binary, ["run", "--until-caught-up", "--set", "http.listen=", "--set", "generator.enabled=false"], { cwd: folder, stdio: "ignore" });
  const values = ["not json", '{"x":1}', "[1]", "<b>neither</b>"];
  const rows = values.map((value, offset) => `INSERT INTO samples VALUES (0, ${offset}, ${1700000000000 + offset}, NULL, CAST('${value}' AS BLOB), NULL);`);
  execFileSync("sqlite3", [join(folder, "data/thalweg.db"), rows.join(" ")]);
  const daemon = await Daemon.start(binary, scratch, ["generator.enabled=false"], folder);
  const status = await daemon.until((told) => told.partitions[0]?.confirmed === 4);
  const page = await open(browser, daemon);
  await says(page, "#dead-about", "3 records could not be used, 75.0 % of all.");
  const reasons = Object.fromEntries(await cells(page, "reasons"));
  Object.entries(status.partitions[0].dead_letters_by_reason).forEach(([reason, times]) => check(Number(reasons[reason]) === times, `${reason} is shown ${reasons[reason]} times`));
  await says(page, "#letters", "The latest 3");
  const letters = await page.locator("#letters pre").allInnerTexts();
  check(letters.join() === "<b>neither</b>,[1],not json", `the letters are ${letters}`);
  await says(page, "#letters p", "not_json from samples/0/0");
  // Sent back, they fail again, and are dead letters anew.
  await page.getByRole("button", { name: "Send not_json back" }).click();
  await says(page, "#retried", /^2 letters sent back\.$/);
  await daemon.until((told) => told.partitions[0].dead_letters === 5);
  await says(page, "#dead-about", "5 records could not be used");
  await page.settle("dead letters");
  await daemon.kill();
}

/** Where a token is needed it is asked for, and what is told then is shown. */
async function asksForAToken(browser) {
  const token = "a-token-of-this-test-0123456789";
  const file = join(scratch, "token");
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  const daemon = await Daemon.start(binary, scratch, [`http.token_file=${file}`]);
  // A request without a token fails, which the console says.
  const page = await open(browser, daemon, { quiet: false });
  await page.locator("#token input").fill("a-wrong-one-0123456789");
  await page.locator("#token button").click();
  await page.locator("#token input").fill(token);
  await page.locator("#token button").click();
  await says(page, "#verdict", "All is well");
  check(!(await page.content()).includes(token), "the token is in the page");
  await page.settle("a token");
  await daemon.kill();
}

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
try {
  await showsWhatTheStatusTells(browser);
  const daemon = await followsAndIsChosen(browser);
  const next = await survivesARestart(browser, daemon);
  await isLegible(browser, next);
  await showsDeadLetters(browser);
  await asksForAToken(browser);
} catch (error) {
  failed += 1;
  console.error(error);
} finally {
  await browser.close();
  await Daemon.killAll();
}
console.log(`${passed} checks of the dashboard passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
