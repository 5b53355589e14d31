"""The data layer: what it returns is right, and every fault is one sentence."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import tarfile
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


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with course_data(tmp_path, url), pytest.raises(data.Unavailable, match="none of its serv"):
            data.fetch(NAME)


def test_a_sentence_names_each_server_that_sent_something_wrong(tmp_path: Path):
    with (
        server() as httpd,
        course_data(tmp_path, f"{httpd.url}/wrong", f"{httpd.url}/404"),
        pytest.raises(data.DataError) as caught,
    ):
        data.fetch(NAME)
    assert str(caught.value) == (
        f"What {httpd.url}/wrong sent is not the file of the catalogue (its sha256 differs); "
        f"deleted. {httpd.url}/404 answered with status 404 instead of the file."
    )


def test_a_sentence_names_the_folder_that_is_full(tmp_path: Path):
    full = mock.patch("requests.Response.iter_content", side_effect=OSError(28, "No space left"))
    with server() as httpd, course_data(tmp_path, f"{httpd.url}/good") as folder, full:
        for get in (
            lambda: data.fetch(NAME),
            lambda: data.fetch_unlisted(f"{httpd.url}/good", "w"),
        ):
            with pytest.raises(data.DataError) as caught:
                get()
            assert str(caught.value) == f"{folder} cannot take the file: the disk is full."


def test_a_sentence_names_the_damaged_file_that_cannot_be_replaced(tmp_path: Path):
    with course_data(tmp_path, "http://127.0.0.1:1/x") as folder:
        (folder / PLACE).parent.mkdir(parents=True)
        (folder / PLACE).write_bytes(GOOD[:5])
        with pytest.raises(
            data.DataError, match=f"^{re.escape(str(folder / PLACE))} is not the fi"
        ):
            data.fetch(NAME)


def test_a_sentence_names_all_folders_that_cannot_be_written():
    folders = [Path("/proc/a"), Path("/proc/b")]
    with (
        mock.patch("utils.data.data_folders", return_value=folders),
        pytest.raises(data.DataError) as caught,
    ):
        data.writable_folder()
    said = "Downloads need a folder that can be written; tried /proc/a and /proc/b."
    assert str(caught.value) == said


def test_what_has_no_server_is_only_read_from_a_cache(tmp_path: Path):
    with course_data(tmp_path), pytest.raises(data.Unavailable) as caught:
        data.fetch(NAME)
    assert str(caught.value) == f"{NAME} cannot be downloaded, only read from a cache."


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
        with pytest.raises(data.DataError, match=f"^{httpd.url}/404 answered with status 404"):
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


def test_a_second_archive_is_unpacked_beside_the_first(tmp_path: Path):
    with course_data(tmp_path) as cache:
        first, second = (
            data.unpack(archive(tmp_path, name, "in.txt")) for name in ("a.zip", "b.zip")
        )
        assert first.parent == second.parent == cache / "unpacked"
        assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_an_archive_may_not_link_to_the_outside(tmp_path: Path):
    path = tmp_path / "link.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("in.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with course_data(tmp_path / "cache") as folder:
        with pytest.raises(data.DataError, match=r"^link.tar cannot be unpacked: it is damaged.$"):
            data.unpack(path)
        assert files(folder) == {}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(30, "Read-only file system"), "Read-only file system"),
        (OSError("strange"), "strange"),
    ],
)
def test_what_a_disk_does_wrong_is_said_in_one_sentence(error: OSError, said: str):
    with pytest.raises(data.DataError) as caught, data.in_one_sentence("url", Path("folder")):
        raise error
    assert str(caught.value) == f"folder cannot take the file: {said}."


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="mnist-test-images"):
        data.fetch("mnits")


def test_an_entry_is_read_from_the_catalogue_field_by_field(tmp_path: Path):
    place = tmp_path / "catalogue.toml"
    file = f'{{ path = "a/b.gz", sha256 = "{"0" * 64}", bytes = 3, urls = ["u1", "u2"] }}'
    bare = f'{{ path = "a/c.gz", sha256 = "{"1" * 64}", bytes = 4 }}'
    place.write_text(f'[thing]\nabout = "a"\nlicence = "b"\nfiles = [{file}, {bare}]\n')
    first, second = data.catalogue(place)["thing"].files
    assert first == data.File("a/b.gz", "0" * 64, 3, ("u1", "u2"))
    assert second == data.File("a/c.gz", "1" * 64, 4, ())


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
