"""Install what a machine lacks to run the course's notebooks, and hardly more.

The setup cell calls ``install()`` when it has had to fetch the course, as in Colab, where most
libraries are there already in Colab's own versions.
"""

import importlib.metadata
import re
import subprocess
import sys

from utils.paths import ROOT

NEVER = ("numpy", "torch", "torchvision")  # a new version of these would break what is installed
# 1.9: count networks (loss="poisson"), TargetEncoder with a splitter, and the trees' numbers
LEAST = {"scikit-learn": (1, 9)}


def install() -> None:
    """Install what the course group lacks or is too old; keep NumPy and torch as they are."""
    wanted = [pin for pin in requirements() if _name(pin) not in NEVER and _lacking(_name(pin))]
    kept = [f"{name}=={_version(name)}" for name in NEVER if _version(name)]
    if wanted:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted, *kept], check=True)


def requirements(group: str = "course") -> list[str]:
    """The pins of one group of requirements.txt: the lines below its ``# --- group:`` line."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    groups = dict(re.findall(r"^# --- (\w+)[^\n]*\n(.*?)(?=^# ---|\Z)", text, flags=re.M | re.S))
    lines = (line.split("#")[0].strip() for line in groups[group].splitlines())
    return [line for line in lines if line]


def _lacking(name: str) -> bool:
    """Whether a library is missing, or older than the lessons need."""
    version = _version(name)
    if version is None:
        return True
    return tuple(map(int, re.findall(r"\d+", version)[:2])) < LEAST.get(name, (0,))


def _name(pin: str) -> str:
    return re.split(r"[=<>!~\[ ]", pin)[0]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
