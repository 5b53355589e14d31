"""``python -m benchmarks.app_load``: 50 people draw at once, each asking ten times a second.

The application runs in processes of its own with its NumPy networks; this one draws. Two workers
answer, one for each core, and share the cores with the drawers. Every drawer sends a digit that
grows stroke by stroke, on a connection that stays open, and both digit readers answer. A question
that waits for the answer to the one before is late, and its lateness counts: the time runs from
the moment at which it was due. Which worker answers a connection is luck, so there are three rounds
of new connections, and the percentiles are those of all waits. Loopback only. The goal is p95 below
100 ms.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from app import recorded, tracing
from benchmarks.timing import store
from utils.datasets import mnist
from utils.paths import ROOT

PATH = ROOT / "build" / "bench" / "app_load.json"
PORT = 8765
EVERY = 0.1  # seconds between two questions of a drawer
ROUNDS = 3
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def questions(number: int) -> list[bytes]:
    """The requests of one drawer: a test digit after a fifth, two fifths, … of its points."""
    (stroke, *others) = tracing.traced(mnist().test.images[number])
    parts = [[stroke[: max(1, len(stroke) * part // 5)]] for part in (1, 2, 3, 4, 5)]
    drawings = [*parts, [stroke, *others]]
    return [_request(json.dumps({"drawing": recorded.as_json(d)}).encode()) for d in drawings]


def _request(body: bytes) -> bytes:
    head = "POST /api/digit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    (length,) = (int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])


async def drawer(
    asked: list[bytes], connection: Connection, begin: float, seconds: float
) -> list[float]:
    """Milliseconds from when each question was due to its answer. Raises on any other status."""
    reader, writer = connection
    waits = []
    for turn in range(round(seconds / EVERY)):
        due = begin + turn * EVERY
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(asked[turn % len(asked)])
        if (status := await answered(reader)) != 200:
            raise RuntimeError(f"the server answered {status}")
        waits.append((time.perf_counter() - due) * 1000)
    writer.close()
    return waits


async def drawn(asked: list[list[bytes]], seconds: float, port: int) -> list[float]:
    """The waits of all drawers together, who come one after the other and draw side by side."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in asked]
    start, apart = time.perf_counter() + EVERY, EVERY / len(asked)
    found = await asyncio.gather(
        *(
            drawer(each, connection, start + i * apart, seconds)
            for i, (each, connection) in enumerate(zip(asked, connections, strict=True))
        )
    )
    return [wait for waits in found for wait in waits]


def measure(drawers: int, seconds: float, workers: int = 2, port: int = PORT) -> dict[str, Any]:
    """p50, p95, p99 in milliseconds, answers a second, and the memory of a worker in MB."""
    asked = [questions(number) for number in range(drawers)]
    words = ["--numpy-only", "--port", str(port), "--workers", str(workers)]
    command = [sys.executable, "-m", "app", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            start = time.perf_counter()
            wait_until_ready(port)
            seconds_to_start = time.perf_counter() - start
            asyncio.run(drawn(asked, 1.0, port))  # to warm up
            start = time.perf_counter()
            rounds = [asyncio.run(drawn(asked, seconds, port)) for _ in range(ROUNDS)]
            seconds_in_all = time.perf_counter() - start
            memory = resident(server.pid)
        finally:
            server.terminate()
    every = np.concatenate(rounds)
    p50, p95, p99 = np.percentile(every, [50, 95, 99]).round(2).tolist()
    return {
        "drawers": drawers,
        "workers": workers,
        "answers_a_second": round(len(every) / seconds_in_all, 1),
        "milliseconds": {"p50": p50, "p95": p95, "p99": p99},
        "p95_of_each_round": [round(float(np.percentile(waits, 95)), 2) for waits in rounds],
        "seconds_to_start": round(seconds_to_start, 2),
        "megabytes_of_a_worker": memory,
    }


def wait_until_ready(port: int) -> None:
    """Returns when the application answers; raises after 30 seconds."""
    for _ in range(600):
        command = [sys.executable, "-m", "app.health", str(port)]
        if subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError("the application was not ready after 30 seconds")


def resident(pid: int) -> float:
    """Memory of the largest of a process and its children in MB, where the system tells; else 0."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.is_file():
        return 0.0
    status = [
        Path(f"/proc/{one}/status").read_text() for one in (pid, *children.read_text().split())
    ]
    sizes = [int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status]
    return round(max(sizes) / 1024, 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, default=PATH)
    parser.add_argument("--drawers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20, help="of a round, at most 60")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    found = measure(given.drawers, min(given.seconds, 60), given.workers)
    store(given.path, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
