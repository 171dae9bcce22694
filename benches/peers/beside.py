"""What the tables beside River share: building, replaying, River's side, and the machine it all ran on."""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

PEERS = Path(__file__).resolve().parent
ROOT = PEERS.parent.parent
SEED = 42

UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}


def say(text):
    print(text, file=sys.stderr, flush=True)


def output(*command, **kwargs):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, **kwargs).stdout


def target():
    return Path(json.loads(output("cargo", "metadata", "--format-version=1", "--no-deps"))["target_directory"])


def make_venv(folder):
    python = folder / "bin" / "python"
    wanted = (PEERS / "requirements.txt").read_text().split()
    if python.exists() and set(wanted) <= set(output(python, "-m", "pip", "freeze").split()):
        return python
    say(f"making {folder}")
    output(sys.executable, "-m", "venv", folder)
    output(python, "-m", "pip", "install", "--quiet", "-r", PEERS / "requirements.txt")
    return python


class Thalweg:
    def __init__(self, binary, scratch):
        self.binary, self.scratch = binary, scratch
        # No settings of the caller's may reach the program under test.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("THALWEG__")}

    def settings(self, models):
        path = self.scratch / "settings.toml"
        path.write_text("".join(f'[[models]]\nname = "{model[0]}"\n{model[1]}\n\n' for model in models))
        return path

    def knows(self, model):
        command = [self.binary, "check", "--settings", self.settings([model])]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True).returncode == 0

    def replay(self, file, models):
        settings = self.settings(models)
        command = [self.binary, "replay", file, "--settings", settings, "--report", "json"]
        report = json.loads(output(*command, env=self.environment))
        return {model["name"]: model for model in report["models"]}

    @staticmethod
    def rate(bench):
        """The median of a benchmark, in records a second; `None` where there is no such benchmark."""
        text = output("cargo", "bench", "--locked", "--bench", "engine", "--", "--exact", f"engine::{bench}")
        lines = text.splitlines()
        for line, rates in zip(lines, lines[1:]):
            if re.search(rf"\b{bench} ", line):
                median = rates.lstrip("│ ├╰─").split("│")[2].split()
                return float(median[0]) * UNITS[median[1].removesuffix("item/s")]
        return None


def river(python, name, file, n=None):
    command = [python, PEERS / "river_engine.py", "run", name, file, "--seed", str(SEED)]
    return json.loads(output(*command, *([] if n is None else ["-n", str(n)])))


def river_accuracy(python, name, file, kept):
    """River's errors on a stream. Its seeds are fixed, so they are worked out once and kept beside the streams."""
    version = (PEERS / "requirements.txt").read_text().strip()
    path = kept / f"{name}-{file.stem}-{SEED}-{version}.json"
    if not path.exists():
        result = river(python, name, file)
        path.write_text(json.dumps({key: result[key] for key in ("rmse", "mae", "r2")}))
    return json.loads(path.read_text())


def machine(python):
    def first(path, key):
        try:
            return next(line.split(":", 1)[1].strip() for line in Path(path).read_text().splitlines() if line.startswith(key))
        except (OSError, StopIteration):
            return "unknown"

    memory = first("/proc/meminfo", "MemTotal").removesuffix(" kB")
    memory = f"{int(memory) / 2**20:.1f} GiB" if memory.isdigit() else memory
    return [
        f"- {first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {memory} of memory, {platform.system()} {platform.release()}",
        f"- {output('rustc', '--version').strip()}, {output(python, '--version').strip()}, {(PEERS / 'requirements.txt').read_text().strip()}",
        f"- {date.today().isoformat()}, load {os.getloadavg()[0]:.1f} at the end",
    ]
