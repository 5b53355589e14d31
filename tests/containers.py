"""What the container files say, done without an engine: every command in an environment of its own.

Docker itself is not at hand where the course is tested. So the files are linted, and the commands
of ``app/Dockerfile`` and ``compose.yaml`` run in a folder that stands for the container's root.
Not tried: the base image, the user, the read-only file system and the limits.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from app import recorded, tracing
from tests.browser import free_port
from utils.datasets import mnist
from utils.paths import ROOT

DOCKERFILE, COMPOSE = ROOT / "app" / "Dockerfile", ROOT / "compose.yaml"
BIN = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    """(RUN, "python3 -m venv /venv"), … of the Dockerfile, one a line."""
    lines = DOCKERFILE.read_text("utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def listed(name: str) -> list[str]:
    """The words of ENTRYPOINT, CMD, or of the HEALTHCHECK's command."""
    (text,) = (rest for word, rest in instructions() if word == name)
    return json.loads(text[text.index("[") :])


def services() -> dict[str, list[str]]:
    """The command of each service of compose.yaml; CMD where it has none of its own."""
    text = COMPOSE.read_text("utf-8").partition("\nservices:\n")[2]
    found = {}
    for part in re.split(r"\n\n", text.strip("\n")):
        name = re.match(r"\s*(\w+):", part)[1]
        command = re.search(r"command: (\[.*\])", part)
        found[name] = json.loads(command[1]) if command else listed("CMD")
    return found


def linted() -> dict[str, bool]:
    """Whether each file passes its linter."""
    schema = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    commands = {"Dockerfile": ["hadolint", str(DOCKERFILE)], "compose.yaml": schema}
    return {name: _passes([str(BIN / words[0]), *words[1:]]) for name, words in commands.items()}


def _passes(words: Sequence[str], **options) -> bool:
    return subprocess.run(words, capture_output=True, **options).returncode == 0


def built(root: Path) -> dict[str, bool]:
    """COPY and RUN of the Dockerfile, with NETWORKS=numpy, below ``root``; which ones passed."""
    course, done = root / "course", {}
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            done[f"COPY {rest}"] = all(_copied(source, course / target) for source in sources)
        elif word == "RUN" and not rest.startswith("useradd"):
            command = rest.replace("/venv", str(root / "venv")).replace("$NETWORKS", "numpy")
            search = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
            done[f"RUN {rest}"] = _passes(["sh", "-ec", command], cwd=course, env=search)
    return done


def _copied(source: str, target: Path) -> bool:
    """A file or folder of the course, as COPY takes it."""
    path = ROOT / source
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return True


@contextmanager
def started(words: Sequence[str], python: Path, course: Path) -> Iterator[int]:
    """ENTRYPOINT with these words, on a free port of this machine; the port."""
    port = free_port()
    here = ["--host", "127.0.0.1", "--port", str(port)]
    entry = [str(python), *listed("ENTRYPOINT")[1:]]
    process = subprocess.Popen([*entry, *words, *here], cwd=course, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def healthy(port: int, python: Path, course: Path, patience: float = 60) -> bool:
    """Whether the HEALTHCHECK's command succeeds before patience (seconds) ends."""
    command = [str(python), *listed("HEALTHCHECK")[1:-1], str(port)]
    end = time.monotonic() + patience
    while not (well := _passes(command, cwd=course)) and time.monotonic() < end:
        time.sleep(0.3)
    return well


def reads_a_digit(port: int) -> bool:
    """Whether the interface names a digit of the test set."""
    test = mnist().test
    question = {"drawing": recorded.as_json(tracing.traced(test.images[0]))}
    request = Request(
        f"http://127.0.0.1:{port}/api/digit",
        json.dumps(question).encode(),
        {"content-type": "application/json"},
    )
    with urlopen(request, timeout=20) as answer:
        shares = json.load(answer)["answers"][0]["probabilities"]
    return shares.index(max(shares)) == int(test.labels[0])


def checks_of_services(python: Path, course: Path) -> dict[str, bool]:
    """Each service started and healthy; those with an interface read a digit."""
    done = {}
    for name, words in services().items():
        with started(words, python, course) as port:
            done[f"{name} is healthy"] = healthy(port, python, course)
            if name != "web" and done[f"{name} is healthy"]:
                done[f"{name} reads a digit"] = reads_a_digit(port)
    return done


def measure(seed: int, profile: str) -> dict[str, float]:
    """Row 70: the share of all these checks that pass in a fresh virtual environment."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "course").mkdir()
        done = linted() | built(root)
        done |= checks_of_services(root / "venv" / "bin" / "python", root / "course")
    for name, passed in done.items():
        print("passed" if passed else "FAILED", name)
    return {"smoke_checks_passed_share": sum(done.values()) / len(done)}
