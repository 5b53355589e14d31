"""Running a student's file at arm's length: its own process, limits, no network where that goes.

Each criterion has a process of its own, so an endless loop or an exit in one costs that one only.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from utils.grading.criteria import Failed, Task, said
from utils.paths import ROOT

SECONDS = 20  # of processor time a criterion, and of waiting
MEMORY = 4 * 2**30  # bytes of address space
NO_NETWORK = 0x40000000 | 0x10000000  # CLONE_NEWNET and CLONE_NEWUSER of Linux


def outcome(task: Task, number: int, file: Path, seconds: float = SECONDS) -> str | None:
    """None where criterion ``number`` is met, else a sentence with what went wrong."""
    ends = os.pipe()  # nothing that the file prints can reach it
    with (
        tempfile.TemporaryDirectory() as folder,
        os.fdopen(ends[0], "rb") as reading,
        os.fdopen(ends[1], "wb") as writing,
    ):
        command = [sys.executable, "-m", "utils.grading.running", task.name, str(number), file]
        try:
            done = subprocess.run(
                [*map(str, command), str(writing.fileno()), str(seconds)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds + 10,  # to start the interpreter
                pass_fds=[writing.fileno()],
            )
        except subprocess.TimeoutExpired:
            return f"it did not finish within {seconds} seconds"
        writing.close()
        answer = os.read(reading.fileno(), 1 << 16)
        return json.loads(answer)["failed"] if answer else _ended(done.returncode, seconds)


def _ended(status: int, seconds: float) -> str:
    """Why a process left without an answer."""
    if status in (-24, -9):  # SIGXCPU, SIGKILL: the limit of processor time
        return f"it did not finish within {seconds} seconds"
    return f"the file ended the program (exit status {status})"


def _limit(seconds: float) -> None:
    """Bound time, memory and files of this process, and take the network away where that goes."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(NO_NETWORK)  # refused by some systems

    def refuse(event: str, _: tuple) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
            raise OSError("the network is blocked while a file is marked")

    sys.addaudithook(refuse)


def names_of(file: Path) -> dict[str, Any]:
    """What a student's file defines, a script or a notebook's cells joined.

    Raises Failed, with the line, where the file does not run.
    """
    names: dict[str, Any] = {"__name__": "student", "__file__": str(file)}
    try:
        exec(compile(file.read_text("utf-8"), str(file), "exec"), names)
    except SyntaxError as error:
        raise Failed(f"line {error.lineno} is not Python: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise Failed("the file is not text in UTF-8") from error
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)
        ]
        raise Failed(f"line {lines[-1] if lines else '?'} raises {error!r:.150}") from error
    return names


def main(name: str, number: str, file: str, channel: str, seconds: str) -> None:
    """In the process of one criterion: check it and write the answer to the pipe."""
    from utils.grading.tasks import TASKS

    _limit(float(seconds))
    try:
        TASKS[name].criteria[int(number)].check(names_of(Path(file)))
        failed = None
    except Failed as reason:
        failed = str(reason)
    except MemoryError:
        failed = "it took more memory than allowed"
    except Exception as error:
        failed = f"it raises {said(error)}"
    os.write(int(channel), json.dumps({"failed": failed}).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
