"""Faults of servers, disks and files, made on this machine to see how the data layer takes them.

``FAULTS`` maps a name to a function that sets up one fault against a local HTTP server and
returns the exception that ``fetch`` or ``unpack`` must raise. ``measure`` is the command of the
ledger's row on the data layer: the share of faults that are told in one sentence and leave the
cache as it was.
"""

import contextlib
import hashlib
import io
import os
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

from utils import data

GOOD = b"forty-two bytes that stand for a data set."
NAME = "thing"
PLACE = "things/thing.bin"


class _Handler(BaseHTTPRequestHandler):
    """Serves GOOD, and every way of not serving it."""

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        self.server.requests.append(kind)
        body = {"wrong": b"x" * len(GOOD), "page": b"<html>Moved.</html>"}.get(kind, GOOD)
        self.send_response({"404": 404, "500": 500}.get(kind, 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "truncated" else body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read what the course prints, not what the server logs."""


@contextlib.contextmanager
def server() -> Iterator[ThreadingHTTPServer]:
    """A local HTTP server; ``server.url`` is its address, ``server.requests`` what was asked."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.requests, httpd.url = [], f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield httpd
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@contextlib.contextmanager
def course_data(folder: Path, *urls: str, more: tuple[data.File, ...] = ()) -> Iterator[Path]:
    """A catalogue with one entry at ``urls``, and empty data folders below ``folder``."""
    file = data.File(PLACE, hashlib.sha256(GOOD).hexdigest(), len(GOOD), urls)
    entry = data.Entry(NAME, "a thing to test with", "none", (file, *more))
    environment = {
        "NN_COURSE_DATA": str(folder / "data"),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NN_COURSE_OFFLINE": "",
        "NO_PROXY": "127.0.0.1",
    }
    with (
        mock.patch.object(data, "catalogue", return_value={NAME: entry}),
        mock.patch.dict(os.environ, environment),
    ):
        yield folder / "data"


def archive(folder: Path, name: str, member: str) -> Path:
    """A .tar.gz or .zip with one member of that name."""
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr(member, GOOD)
        return path
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(GOOD)
        tar.addfile(info, io.BytesIO(GOOD))
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes: what a fault must leave as it was."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _fetch_from(kind: str, folder: Path) -> None:
    with server() as httpd, course_data(folder, f"{httpd.url}/{kind}"):
        data.fetch(NAME)


def _full_disk(folder: Path) -> None:
    """The disk fills up while the file is written."""
    full = mock.patch("requests.Response.iter_content", side_effect=OSError(28, "No space left"))
    with full:
        _fetch_from("good", folder)


def _full_disk_while_unpacking(folder: Path) -> None:
    full = mock.patch("zipfile.ZipFile.extractall", side_effect=OSError(28, "No space left"))
    with full, course_data(folder):
        data.unpack(archive(folder, "full.zip", "fine.txt"))


def _no_writable_folder(folder: Path) -> None:
    with course_data(folder), mock.patch("tempfile.TemporaryFile", side_effect=OSError(30, "ro")):
        data.fetch(NAME)


def _no_network(folder: Path) -> None:
    with server() as httpd:
        closed = httpd.url
    with course_data(folder, closed):
        data.fetch(NAME)


def _offline(folder: Path) -> None:
    forbidden = mock.patch.dict(os.environ, NN_COURSE_OFFLINE="1")
    with server() as httpd, course_data(folder, f"{httpd.url}/good"), forbidden:
        data.fetch(NAME)


def _damaged_and_offline(folder: Path) -> None:
    place = folder / "data" / PLACE
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"damaged")
    _offline(folder)


def _unpack(name: str, member: str, folder: Path) -> None:
    with course_data(folder):
        data.unpack(archive(folder, name, member))


def _not_an_archive(folder: Path) -> None:
    path = folder / "page.tar.gz"
    path.write_bytes(b"<html>404</html>")
    with course_data(folder):
        data.unpack(path)


FAULTS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "truncated download": (lambda f: _fetch_from("truncated", f), data.DataError, "broke off"),
    "404 page": (lambda f: _fetch_from("404", f), data.DataError, "status 404"),
    "server error": (lambda f: _fetch_from("500", f), data.DataError, "status 500"),
    "a page instead of the file": (lambda f: _fetch_from("page", f), data.DataError, "sha256"),
    "wrong hash": (lambda f: _fetch_from("wrong", f), data.DataError, "sha256 differs"),
    "full disk": (_full_disk, data.DataError, "the disk is full"),
    "full disk while unpacking": (_full_disk_while_unpacking, data.DataError, "disk is full"),
    "no folder can be written": (_no_writable_folder, data.DataError, "can be written"),
    "no network": (_no_network, data.Unavailable, "No network"),
    "network forbidden": (_offline, data.Unavailable, "forbids the network"),
    "damaged cache, no network": (_damaged_and_offline, data.DataError, "Delete it"),
    "tar with ../": (lambda f: _unpack("a.tar.gz", "../out", f), data.DataError, "not safe"),
    "zip with ../": (lambda f: _unpack("a.zip", "../out", f), data.DataError, "not safe"),
    "tar with an absolute path": (lambda f: _unpack("a.tar", "/out", f), data.DataError, "safe"),
    "not an archive": (_not_an_archive, data.DataError, "is damaged"),
}


def told(fault: str, folder: Path) -> str:
    """Make a fault in ``folder``; the sentence it was told in. Raises AssertionError otherwise."""
    make, expected, _ = FAULTS[fault]
    try:
        make(folder)
    except expected as error:
        assert files(folder / "data") == files_made_by(fault), f"{fault}: the cache changed"
        assert not files(folder / "cache"), f"{fault}: something was left in the user's cache"
        return str(error)
    raise AssertionError(f"{fault}: nothing was raised")


def files_made_by(fault: str) -> dict[str, bytes]:
    """What the fault itself put into the cache before ``fetch`` ran."""
    return {PLACE: b"damaged"} if fault == "damaged cache, no network" else {}


def measure(seed: int, profile: str) -> dict[str, float]:
    """Share of the faults that are refused in one sentence with the cache left as it was."""
    refused = 0
    for fault, (_, _, words) in FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            refused += words in told(fault, Path(folder))
    return {"faults_refused_share": refused / len(FAULTS)}
