"""Fixtures that several test files share."""

from pathlib import Path

import pytest


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without network and with empty caches; returns the folder they would be in."""
    for name in ("NN_COURSE_DATA", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NN_COURSE_OFFLINE", "1")
    return tmp_path
