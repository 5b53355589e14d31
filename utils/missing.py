"""Install what a machine lacks to run the course's notebooks, and nothing more.

The setup cell calls ``install()`` when it has had to fetch the course, as in Colab, where most
libraries are there already in Colab's own versions.
"""

import importlib.metadata
import re
import subprocess
import sys

from utils.paths import ROOT

NEVER = ("numpy", "torch", "torchvision")  # a new version of these would break what is installed


def install() -> None:
    """Install the missing requirements of the course group; keep NumPy and torch as they are."""
    missing = [pin for pin in requirements() if _version(_name(pin)) is None]
    wanted = [pin for pin in missing if _name(pin) not in NEVER]
    kept = [f"{name}=={_version(name)}" for name in NEVER if _version(name)]
    if wanted:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted, *kept], check=True)


def requirements(group: str = "course") -> list[str]:
    """The pins of one group of requirements.txt: the lines below its ``# --- group:`` line."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    groups = dict(re.findall(r"^# --- (\w+)[^\n]*\n(.*?)(?=^# ---|\Z)", text, flags=re.M | re.S))
    lines = (line.split("#")[0].strip() for line in groups[group].splitlines())
    return [line for line in lines if line]


def _name(pin: str) -> str:
    return re.split(r"[=<>!~\[ ]", pin)[0]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
