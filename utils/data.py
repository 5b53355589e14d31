"""One download function that cannot lie: what it returns has the sha256 of the catalogue.

``fetch(name)`` finds a catalogued file in a cache or downloads it: to a temporary file beside its
place, verified there, and renamed only when it is right (pooch does this work). A failure is one
sentence and leaves the cache as it was. Two kinds of failure are kept apart: ``Unavailable``
means that this machine cannot have the file now (no network, or ``NN_COURSE_OFFLINE=1``), and a
loader may then use a stand-in; ``DataError`` means that something is wrong, and is never hidden.
"""

import errno
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from utils.paths import atomic, data_folders

TIMEOUT = 5  # seconds to connect, and between two packets
CATALOGUE = Path(__file__).with_name("catalogue.toml")


class Unavailable(Exception):
    """The file cannot be had on this machine now: no network or none allowed, nothing cached."""


class DataError(Exception):
    """Something is wrong with a file, a server or a disk; the sentence says what."""


@dataclass(frozen=True)
class File:
    """One form of a catalogued thing: its place in the cache, its proof, and where to get it."""

    path: str
    sha256: str
    bytes: int
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A catalogued thing: what it is, its licence, and the files that may stand for it.

    No notebook reads what is ``on_demand``: it is fetched when a command asks for it.
    """

    name: str
    about: str
    licence: str
    files: tuple[File, ...]
    on_demand: bool = False


@cache
def catalogue(source: Path = CATALOGUE) -> dict[str, Entry]:
    """All catalogued things by name."""
    return {
        name: Entry(name, **{**fields, "files": tuple(map(_file, fields["files"]))})
        for name, fields in tomllib.loads(source.read_text(encoding="utf-8")).items()
    }


def _file(fields: dict) -> File:
    return File(**{**fields, "urls": tuple(fields.get("urls", ()))})


def fetch(name: str) -> Path:
    """Path of the catalogued file ``name``, from a cache or downloaded; its sha256 is right.

    Looks in ``$NN_COURSE_DATA`` and in the user's cache for each form of the entry in turn.
    Raises KeyError for a name that is not catalogued, Unavailable or DataError as the module says.
    """
    if name not in catalogue():
        raise KeyError(f"no data called {name!r}; the catalogue has {sorted(catalogue())}.")
    entry = catalogue()[name]
    damaged: list[Path] = []
    for file in entry.files:
        for path in (folder / file.path for folder in data_folders()):
            if path.is_file():
                if sha256(path) == file.sha256:
                    return path
                damaged.append(path)
    try:
        return _download(entry)
    except Unavailable as reason:
        if damaged:
            raise DataError(
                f"{damaged[0]} is not the file of the catalogue (its sha256 differs) and cannot be "
                f"replaced: {reason} Delete it to go on without it."
            ) from reason
        raise


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(entry: Entry) -> Path:
    """Try every url of every form; keep the first file that proves right."""
    require_network()
    wrong: list[str] = []
    folder = writable_folder()
    for file in entry.files:
        for url in file.urls:
            try:
                return _retrieve(url, file, folder)
            except Unavailable:
                continue  # the next mirror may be within reach
            except DataError as reason:
                wrong.append(str(reason))
    if wrong:
        raise DataError(" ".join(wrong))
    if not any(file.urls for file in entry.files):
        raise Unavailable(f"{entry.name} cannot be downloaded, only read from a cache.")
    raise Unavailable("No network: none of its servers could be reached.")


def _retrieve(url: str, file: File, folder: Path) -> Path:
    """Download one url into ``folder``, or raise Unavailable or DataError with one sentence."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        with in_one_sentence(url, folder):
            path = pooch.retrieve(
                url, f"sha256:{file.sha256}", file.path, str(folder), downloader=_downloader()
            )
    except ValueError as error:  # pooch: the sha256 differs; the temporary file is gone
        raise DataError(
            f"What {url} sent is not the file of the catalogue (its sha256 differs); deleted."
        ) from error
    return Path(path)


def fetch_unlisted(url: str, place: str, digits: str = "") -> Path:
    """Path of a file that the catalogue cannot list, since nobody publishes its full sha256.

    ``place`` is its path in a cache; ``digits`` are the first digits of its sha256, where at least
    those are known. Raises Unavailable or DataError as the module says.
    """
    for path in (folder / place for folder in data_folders()):
        if path.is_file() and sha256(path).startswith(digits):
            return path
    require_network()
    path = writable_folder() / place
    with in_one_sentence(url, path.parent), atomic(path) as temporary:
        _downloader()(url, str(temporary), None)
        if not sha256(temporary).startswith(digits):
            raise DataError(f"What {url} sent has not the sha256 that it should; deleted.")
    return path


def require_network() -> None:
    """Raise Unavailable where ``NN_COURSE_OFFLINE=1`` forbids the network."""
    if os.environ.get("NN_COURSE_OFFLINE") == "1":
        raise Unavailable("NN_COURSE_OFFLINE=1 forbids the network.")


def _downloader() -> Callable[[str, str, object], None]:
    """A function of (url, path, None) that downloads, with a progress bar in a terminal."""
    import pooch

    return pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=TIMEOUT
    )


@contextmanager
def in_one_sentence(url: str, folder: Path) -> Iterator[None]:
    """What a server or a disk does wrong inside becomes Unavailable or DataError, one sentence."""
    from requests import exceptions as failed

    try:
        yield
    except failed.HTTPError as error:
        status = error.response.status_code
        raise DataError(f"{url} answered with status {status} instead of the file.") from error
    except failed.SSLError as error:
        raise DataError(f"{url} has no valid certificate.") from error
    except (failed.ConnectionError, failed.Timeout) as error:
        raise Unavailable(f"{url} cannot be reached.") from error
    except failed.RequestException as error:
        raise DataError(f"The download of {url} broke off.") from error
    except OSError as error:
        raise DataError(f"{folder} cannot take the file: {_disk(error)}.") from error


def _disk(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror or error)


def writable_folder() -> Path:
    """The first data folder that can be written. Raises DataError when none can."""
    for folder in data_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue  # a read-only cache: the next folder serves
    tried = " and ".join(str(folder) for folder in data_folders())
    raise DataError(f"Downloads need a folder that can be written; tried {tried}.")


def unpack(archive: Path) -> Path:
    """Folder with the contents of a .tar, .tar.gz or .zip archive, unpacked once into the cache.

    Raises DataError when a member would land outside the folder, or the archive is damaged;
    then nothing is left behind.
    """
    folder = writable_folder() / "unpacked"
    target = folder / f"{archive.name}-{sha256(archive)[:12]}"
    if target.is_dir():
        return target
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        contents = Path(temporary) / "contents"
        try:
            _extract(archive, contents)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"{archive.name} cannot be unpacked: it is damaged.") from error
        except OSError as error:
            raise DataError(f"{folder} cannot take {archive.name}: {_disk(error)}.") from error
        shutil.move(contents, target)
    return target


def _extract(archive: Path, target: Path) -> None:
    if not zipfile.is_zipfile(archive):
        with tarfile.open(archive) as tar:
            _refuse_outsiders(archive, tar.getnames())
            tar.extractall(target, filter="data")  # "data": no links outside, no devices
        return
    with zipfile.ZipFile(archive) as zipped:
        _refuse_outsiders(archive, zipped.namelist())
        zipped.extractall(target)


def _refuse_outsiders(archive: Path, names: list[str]) -> None:
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(f"{archive.name} is not safe: {name!r} would land outside its folder.")
