"""``make reproduce ID=…``: measure one row of the ledger at full size and store results/ID.json.

A row's command is a notebook, executed with ``NN_COURSE_PROFILE=full`` and ``NN_COURSE_SEED=s``
for each seed, or ``module:function``, called as ``function(seed, "full")``, which returns a
dictionary of metrics, or one of "metrics", "history" and "data". ``ID=all`` runs every row that has
a command; rows that share a notebook share its runs.

A seed that is done waits in ``build/measured/`` until all are, so an interrupted run goes on where
it stopped; ``python -m tools.reproduce ID --seed 1`` measures one seed, for runs side by side.
"""

import argparse
import datetime
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tools.notebooks import code_cells, read
from tools.run import execute
from utils import results
from utils.paths import ROOT, atomic

MEASURED = ROOT / "build" / "measured"

VERSIONED = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torchvision", "shapely")


def measure(command: str, seed: int) -> dict[str, dict[str, Any]]:
    """Run a command once; what it handed over, by ID (or under "" from a function)."""
    if not command.endswith(".ipynb"):
        module, _, function = command.partition(":")
        found = getattr(importlib.import_module(module), function)(seed, "full")
        return {"": found if "metrics" in found else {"metrics": found}}
    with tempfile.TemporaryDirectory() as folder:
        execute(
            ROOT / command,
            NN_COURSE_PROFILE="full",
            NN_COURSE_SEED=str(seed),
            NN_COURSE_RECORD=folder,
        )
        return {p.stem: json.loads(p.read_text("utf-8")) for p in Path(folder).glob("*.json")}


def measured(command: str, seed: int) -> dict[str, Any]:
    """``measure`` with its ``seconds``, taken from build/measured/ where it is done already.

    A function that reads what it trained earlier hands over the seconds of that training itself.
    """
    path = _waiting(command, seed)
    if not path.is_file():
        start = time.perf_counter()
        run = measure(command, seed)
        seconds = run.get("", {}).get("seconds", time.perf_counter() - start)
        done = {"seconds": round(seconds, 1), "run": run}
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(done), "utf-8")
    return json.loads(path.read_text("utf-8"))


def _waiting(command: str, seed: int) -> Path:
    """Where a seed that is done waits: its name changes with the code of the notebook or module."""
    if command.endswith(".ipynb"):
        code = "\n\n".join(cell.source for cell in code_cells(read(ROOT / command)))
    else:
        module, _, function = command.partition(":")
        code = function + (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    key = hashlib.sha256(code.encode()).hexdigest()[:12]
    return MEASURED / f"{re.sub(r'[^a-z0-9]+', '-', command)}-{key}-{seed}.json"


def reproduce(command: str, ids: list[str]) -> None:
    """Run a command for every seed its rows ask for, and store one file for each of ``ids``."""
    seeds = {id: max(c.seeds for c in results.ledger() if c.id == id) for id in ids}
    every = range(max(seeds.values()))
    done = [
        measured(command, s) for s in tqdm(every, desc=command, disable=not sys.stderr.isatty())
    ]
    for id, count in seeds.items():
        handed_over = [d["run"].get(id) or d["run"].get("") for d in done[:count]]
        seconds = [d["seconds"] for d in done[:count]]
        results.write(id, fields(id, command, handed_over, seconds))
        print(f"results/{id}.json: {_summary(id)}")
    for seed in every:
        _waiting(command, seed).unlink(missing_ok=True)  # edited meanwhile, it has another name


def fields(id: str, command: str, runs: list[dict | None], seconds: list[float]) -> dict[str, Any]:
    """The content of results/ID.json. Raises ValueError when a metric of the ledger is missing."""
    wanted = [c.metric for c in results.ledger() if c.id == id]
    for run in runs:
        if run is None or set(run["metrics"]) != set(wanted):
            got = sorted(run["metrics"]) if run else "nothing"
            raise ValueError(f"{id}: the ledger lists {sorted(wanted)}; {command} recorded {got}.")
    return {
        "id": id,
        "command": command,
        "profile": "full",
        "seeds": list(range(len(runs))),
        "metrics": {m: _over_seeds([run["metrics"][m] for run in runs]) for m in wanted},
        "histories": [run["history"] for run in runs if "history" in run],
        "data": runs[0].get("data"),
        "seconds": seconds,
        "versions": versions(),
        "hardware": hardware(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _over_seeds(values: list[float]) -> dict[str, Any]:
    bounds = results.interval(values)
    return {"values": values, "mean": float(np.mean(values)), "interval": bounds}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), **found}


def hardware() -> dict[str, Any]:
    """Processor, cores and threads of this machine, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return {
        "processor": f"{name} ({platform.machine()})",
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", 1)),
        "system": platform.system(),
    }


def _summary(id: str) -> str:
    recorded = results.read(id)
    return ", ".join(f"{m} {recorded.mean(m):.6g}" for m in recorded.fields["metrics"])


def main(arguments: list[str] | None = None) -> int:
    """Reproduce one ID, or all that have a command."""
    parser = argparse.ArgumentParser(prog="make reproduce", description=__doc__)
    parser.add_argument("id", help="an ID of results/claims.toml, or all")
    parser.add_argument("--seed", type=int, help="measure this seed alone, and record nothing yet")
    options = parser.parse_args(arguments)
    asked = options.id
    commands = {c.id: c.command for c in results.ledger()}
    if asked != "all" and asked not in commands:
        print(f"There is no row {asked!r} in results/claims.toml; rows: {', '.join(commands)}.")
        return 2
    chosen = commands if asked == "all" else {asked: commands[asked]}
    ready = {id: command for id, command in chosen.items() if command != results.NOT_YET}
    if not ready:
        print(f"{asked} has no command yet: its lesson is still to be written.")
        return 2
    for command in dict.fromkeys(ready.values()):
        if options.seed is not None:
            measured(command, options.seed)
            continue
        reproduce(command, [id for id, c in ready.items() if c == command])
    return 0


if __name__ == "__main__":
    sys.exit(main())
