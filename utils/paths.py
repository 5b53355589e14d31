"""Where things are."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # the root of the course
RESULTS = ROOT / "results"
MODELS = ROOT / "models"


def data_folders() -> list[Path]:
    """Folders searched for data, in order: ``$NN_COURSE_DATA`` if set, then the user's cache."""
    given = os.environ.get("NN_COURSE_DATA")
    return [*([Path(given).expanduser()] if given else []), user_cache()]


def user_cache() -> Path:
    """The user's own cache folder, as the operating system names it."""
    import pooch

    return Path(pooch.os_cache("neural-network-exercises"))


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` only if the block succeeds.

    A reader sees the old file or the new one, never half of one; a failure leaves the old file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 is meant for secrets
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
