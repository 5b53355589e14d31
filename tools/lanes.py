"""``make lane LANE=name``: the tests with other versions than the pinned ones, to see drift early.

requirements.txt is the one list of pins. A lane of pyproject.toml says what it changes: it frees
all but a few (``newest``), or sets some to the versions of another place (``colab``).

    python -m tools.lanes NAME                what to install, a line each
    python -m tools.lanes NAME --report LOG   what is installed otherwise, and the end of a test log

Needs no library, because it runs before any is installed.
"""

import argparse
import importlib.metadata
import re
import tomllib
from collections import deque
from pathlib import Path
from typing import Any

from utils.paths import ROOT

TAIL = 60  # lines of a log that tell what failed


def lanes() -> dict[str, dict[str, Any]]:
    """The lanes of pyproject.toml by name: the only pins ``kept``, or other ``versions``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return {"locked": {}, **project["tool"]["course"]["lanes"]}


def pins() -> dict[str, str]:
    """The version of each direct dependency, as requirements.txt pins it."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, flags=re.M))


def requirements(name: str) -> list[str]:
    """What a lane installs. Raises ValueError, listing them, for an unknown lane or library."""
    if name not in lanes():
        raise ValueError(f"no lane called {name!r}; there are {', '.join(lanes())}.")
    lane, pinned = lanes()[name], pins()
    versions, kept = lane.get("versions", {}), lane.get("kept", pinned)
    if unknown := sorted({*versions, *kept} - set(pinned)):
        raise ValueError(f"lane {name}: requirements.txt does not pin {', '.join(unknown)}.")
    exact = {**{library: pinned[library] for library in kept}, **versions}
    return [
        f"{library}=={exact[library]}" if library in exact else f"{library}>={version}"
        for library, version in pinned.items()
    ]


def differences() -> list[str]:
    """``library pinned → installed`` for each direct dependency that is not the pinned one."""
    found = ((library, version, _installed(library)) for library, version in pins().items())
    return [f"{name} {pinned} → {here}" for name, pinned, here in found if here != pinned]


def _installed(library: str) -> str:
    try:
        return importlib.metadata.version(library).split("+")[0]  # torch says 2.13.0+cpu
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def report(name: str, log: Path) -> str:
    """Markdown for an issue: what is installed otherwise, and how the test log ends."""
    with log.open(encoding="utf-8", errors="replace") as file:
        last = "".join(deque(file, TAIL))
    changed = "\n".join(f"- {line}" for line in differences()) or "- nothing"
    return f"## Lane {name}\n\nInstalled otherwise than pinned:\n\n{changed}\n\n```\n{last}```\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=lanes())
    parser.add_argument("--report", type=Path, metavar="LOG")
    given = parser.parse_args(arguments)
    if given.report:
        print(report(given.name, given.report))
    else:
        print("\n".join(requirements(given.name)))


if __name__ == "__main__":
    main()
