"""The data layer: what it returns is right, and every fault is one sentence."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.faults import FAULTS, GOOD, NAME, PLACE, archive, course_data, files, server, told
from utils import data
from utils.paths import ROOT, data_folders


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_leaves_the_cache_as_it_was(fault: str, tmp_path: Path):
    sentence = told(fault, tmp_path)
    assert FAULTS[fault][2] in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_download_is_verified_and_kept(tmp_path: Path):
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/good") as folder:
        assert data.fetch(NAME).read_bytes() == GOOD
        assert files(folder) == {PLACE: GOOD}
        assert data.fetch(NAME) == folder / PLACE
        assert httpd.requests == ["good"]  # the second time it came from the cache


@pytest.mark.parametrize("first", ["404", "wrong", "truncated"])
def test_the_next_mirror_serves_when_one_fails(first: str, tmp_path: Path):
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/{first}", f"{httpd.url}/good"):
        assert data.fetch(NAME).read_bytes() == GOOD


def test_an_unreachable_mirror_does_not_hide_a_wrong_file(tmp_path: Path):
    with (
        server() as httpd,
        course_data(tmp_path, "http://127.0.0.1:1/x", f"{httpd.url}/wrong"),
        pytest.raises(data.DataError, match="sha256"),
    ):
        data.fetch(NAME)


def test_a_damaged_file_is_replaced(tmp_path: Path):
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/good") as folder:
        (folder / PLACE).parent.mkdir(parents=True)
        (folder / PLACE).write_bytes(GOOD[:5])
        assert data.fetch(NAME).read_bytes() == GOOD


def test_a_damaged_file_stays_until_the_new_one_proves_right(tmp_path: Path):
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/wrong") as folder:
        (folder / PLACE).parent.mkdir(parents=True)
        (folder / PLACE).write_bytes(GOOD[:5])
        with pytest.raises(data.DataError, match="sha256"):
            data.fetch(NAME)
        assert files(folder) == {PLACE: GOOD[:5]}


def test_a_read_only_cache_is_read_and_downloads_go_to_the_users_cache(tmp_path: Path):
    read_only = mock.patch.dict(os.environ, NN_COURSE_DATA="/proc")  # not even for root
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/good"), read_only:
        path = data.fetch(NAME)
        assert path.read_bytes() == GOOD
        assert path.is_relative_to(tmp_path)
        assert data.unpack(archive(tmp_path, "a.zip", "in.txt")).is_relative_to(tmp_path)


def test_a_file_without_a_listed_hash_is_checked_by_its_first_digits(tmp_path: Path):
    digits = hashlib.sha256(GOOD).hexdigest()[:8]
    with server() as httpd, course_data(tmp_path) as folder:
        for _ in range(2):
            path = data.fetch_unlisted(f"{httpd.url}/good", "weights/w.pth", digits)
        assert path == folder / "weights/w.pth"
        assert httpd.requests == ["good"]
        with pytest.raises(data.DataError, match="has not the sha256"):
            data.fetch_unlisted(f"{httpd.url}/wrong", "weights/v.pth", digits)
        with pytest.raises(data.DataError, match="status 404"):
            data.fetch_unlisted(f"{httpd.url}/404", "weights/v.pth")
        with pytest.raises(data.DataError, match="broke off"):
            data.fetch_unlisted(f"{httpd.url}/truncated", "weights/v.pth")
        assert files(folder) == {"weights/w.pth": GOOD}
        with mock.patch.dict(os.environ, NN_COURSE_OFFLINE="1"):
            assert data.fetch_unlisted("http://127.0.0.1:1/x", "weights/w.pth") == path
            with pytest.raises(data.Unavailable, match="forbids"):
                data.fetch_unlisted(f"{httpd.url}/good", "weights/v.pth")


def test_an_entry_may_have_a_pack_without_a_url(tmp_path: Path):
    pack = data.File("packs/thing.npz", hashlib.sha256(b"pack").hexdigest(), 4)
    with course_data(tmp_path, "http://127.0.0.1:1/x", more=(pack,)) as folder:
        (folder / "packs").mkdir(parents=True)
        (folder / pack.path).write_bytes(b"pack")
        assert data.fetch(NAME) == folder / pack.path


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_an_archive_is_unpacked_once(name: str, tmp_path: Path):
    with course_data(tmp_path):
        path = archive(tmp_path, name, "inside/in.txt")
        folder = data.unpack(path)
        assert (folder / "inside/in.txt").read_bytes() == GOOD
        (folder / "mark").touch()
        assert (data.unpack(path) / "mark").exists()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="mnist-test-images"):
        data.fetch("mnits")


def test_the_catalogue_is_complete():
    for entry in data.catalogue().values():
        assert entry.about
        assert entry.licence
        for file in entry.files:
            assert len(file.sha256) == 64
            assert file.bytes > 0
            assert ".." not in Path(file.path).parts


def test_the_given_folder_is_searched_before_the_users_cache(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NN_COURSE_DATA", str(tmp_path))
    assert data_folders()[0] == tmp_path
    assert len(data_folders()) == 2


def test_a_download_prints_nothing_that_a_notebook_would_store(tmp_path: Path):
    program = (
        "from pathlib import Path\n"
        "from tests.faults import NAME, course_data, server\n"
        "from utils import data\n"
        f"with server() as s, course_data(Path({str(tmp_path)!r}), s.url + '/good'):\n"
        "    data.fetch(NAME)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
