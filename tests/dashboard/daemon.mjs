// The real binary in a folder of its own, as a person would run it.

import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const running = new Set();

export class Daemon {
  /** Starts it; resolves once it answers. `folder` is that of an earlier one, where its state goes on. */
  static async start(binary, scratch, settings, folder = mkdtempSync(join(scratch, "daemon-"))) {
    const daemon = new Daemon();
    Object.assign(daemon, { binary, scratch, settings, folder });
    const set = ["http.listen=127.0.0.1:0", ...settings, "logging.format=json"].flatMap((setting) => ["--set", setting]);
    daemon.child = spawn(binary, ["run", ...set], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    daemon.ended = new Promise((done) => daemon.child.on("exit", done));
    running.add(daemon);
    const lines = createInterface({ input: daemon.child.stderr });
    daemon.address = await new Promise((found, failed) => {
      const said = [];
      lines.on("line", (line) => {
        said.push(line);
        const { event, address } = JSON.parse(line);
        if (event === "http_listening") found(`http://${address}`);
      });
      daemon.child.on("exit", () => failed(new Error(`it ended: ${said.join("\n")}`)));
    });
    return daemon;
  }

  async ask(path) {
    return (await fetch(`${this.address}${path}`, { headers: this.headers ?? {} })).json();
  }

  status() {
    return this.ask("/api/v1/status");
  }

  /** Asks until the status is as wanted. */
  async until(wanted) {
    for (;;) {
      const status = await this.status();
      if (wanted(status)) return status;
    }
  }

  /** SIGKILL. */
  async kill() {
    running.delete(this);
    this.child.kill("SIGKILL");
    await this.ended;
  }

  /** Starts it again, at the same address. */
  async again() {
    const settings = [...this.settings, `http.listen=${new URL(this.address).host}`];
    const next = await Daemon.start(this.binary, this.scratch, settings, this.folder);
    next.settings = this.settings;
    return next;
  }

  static async killAll() {
    await Promise.all([...running].map((daemon) => daemon.kill()));
  }
}
