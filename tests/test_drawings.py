"""Drawings: strokes there and back, splits, stand-ins, official files, bad records."""

import gzip
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import course_data, files
from utils import data, drawings
from utils.datasets import STAND_IN
from utils.drawings import (
    DrawingData,
    Drawings,
    from_strokes,
    official_quick_draw,
    official_sample,
    quick_draw,
    read_ndjson,
    to_strokes,
    wobbly_shapes,
)
from utils.leaks import shared

TWO = [[[10, 20, 20], [10, 10, 15]], [[50], [60]]]  # a corner, and a dot far from it


def test_the_jump_of_the_lifted_pen_is_a_step_of_its_own():
    steps = from_strokes(TWO)
    assert steps.dtype == np.int16
    assert steps.tolist() == [[10, 10, 0], [10, 0, 0], [0, 5, 1], [30, 45, 1]]


stroke = st.lists(st.tuples(*[st.integers(0, 255)] * 2), min_size=1, max_size=5)


@given(st.lists(stroke, max_size=4))
def test_strokes_go_and_come_back(strokes: list):
    official = [[list(axis) for axis in zip(*points, strict=True)] for points in strokes]
    back = to_strokes(from_strokes(official))
    assert [points.tolist() for points in back] == [[list(p) for p in s] for s in strokes]


@pytest.mark.parametrize(
    ("strokes", "rows"), [([], 0), ([[[], []]], 0), ([[[7], [9]]], 1)], ids=["none", "empty", "dot"]
)
def test_a_drawing_may_have_one_point_or_none(strokes: list, rows: int):
    steps = from_strokes(strokes)
    assert steps.shape == (rows, 3)
    assert len(to_strokes(steps)) == rows
    Drawings((steps,), np.array([0]), np.array([1], dtype=np.uint64))


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        ("[[1, 2]]", "a list of strokes"),
        (None, "a list of strokes"),
        ([[1, 2, 3]], "two lists"),
        ([[[1, 2]]], "two lists"),
        ([[[1, 2], [3]]], "as many x as y"),
        ([[1, 2]], "as many x as y"),
        ([[[1, 256], [3, 4]]], "from 0 to 255"),
        ([[[1, -1], [3, 4]]], "from 0 to 255"),
        ([[[1, 2.5], [3, 4]]], "whole number"),
        ([[[1, True], [3, 4]]], "whole number"),
    ],
)
def test_what_is_no_drawing_is_refused(strokes, words: str):
    with pytest.raises(ValueError, match=words):
        from_strokes(strokes)


@pytest.mark.parametrize(
    "steps", [np.zeros((3, 2), np.int16), np.zeros((3, 3)), np.full((3, 3), 2, np.int16)]
)
def test_a_split_takes_drawings_only(steps):
    with pytest.raises(ValueError, match="drawing"):
        Drawings((steps,), np.array([0]), np.array([1], dtype=np.uint64))


def test_a_split_needs_a_label_and_a_key_for_each_drawing():
    steps, keys = (from_strokes(TWO),) * 2, np.arange(2, dtype=np.uint64)
    with pytest.raises(ValueError, match="one for each of 2 drawings"):
        Drawings(steps, np.array([0]), keys)
    with pytest.raises(ValueError, match="at least one"):
        Drawings((), np.zeros(0, dtype=np.int64), keys[:0])


def line(word: str = "ant", key: int = 1, recognised: bool = True, **changes) -> bytes:
    """One record as the official files have it, with ``changes``."""
    fields = {"word": word, "countrycode": "GB", "recognized": recognised, "key_id": str(key)}
    return json.dumps({**fields, "drawing": TWO, **changes}).encode()


def test_official_lines_are_read():
    (record,) = read_ndjson([line(), b"\n"], "ant.ndjson", "ant")
    assert (record.word, record.key_id, record.recognised) == ("ant", 1, True)
    np.testing.assert_array_equal(record.steps, from_strokes(TWO))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"<html>Moved.</html>", "Expecting value"),
        (line()[:40], "line 2"),
        (b'{"word": "\xff"}', "utf-8"),
        (b"[]", "'word'"),
        (line(word="cow"), "'cow', not of 'ant'"),
        (line(recognized="yes"), "'recognized' of type bool"),
        (line(key_id="x"), "'x' is no number of 64 bits"),
        (line(key_id="-1"), "no number"),
        (line(key_id="9" * 20), "no number of 64 bits"),
        (line(drawing="[]"), "'drawing' of type list"),
        (line(drawing=[[[1], [300]]]), "from 0 to 255"),
    ],
)
def test_a_bad_record_is_one_sentence_that_names_its_line(bad: bytes, words: str):
    with pytest.raises(data.DataError, match=words) as error:
        list(read_ndjson([line(), bad], "ant.ndjson", "ant"))
    sentence = str(error.value)
    assert sentence.startswith("ant.ndjson, line 2, is no drawing: ")
    assert "\n" not in sentence
    assert sentence.endswith(".")


class _Official(BaseHTTPRequestHandler):
    """Serves NAME.ndjson: every third drawing unrecognised, endless unless the name says how."""

    def do_GET(self) -> None:
        word = self.path.strip("/").removesuffix(".ndjson").replace("%20", " ")
        self.server.requests.append(word)
        self.send_response({"missing": 404}.get(word, 200))
        if word == "truncated":
            self.send_header("Content-Length", "5000")
        self.end_headers()
        many = {"few": 6, "truncated": 6, "missing": 1}.get(word, 100_000)
        for number in range(many):
            bad = word == "spoilt" and number == 4
            try:
                self.wfile.write((b"{}" if bad else line(word, number, number % 3 > 0)) + b"\n")
                self.server.sent += 1
            except OSError:  # the reader has had enough
                return

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read what the course prints, not what the server logs."""


@contextmanager
def official_server(folder: Path) -> Iterator[ThreadingHTTPServer]:
    """The official files on this machine; data folders below ``folder``, nothing catalogued."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Official)
    httpd.requests, httpd.sent = [], 0
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = mock.patch.object(drawings, "OFFICIAL", f"http://127.0.0.1:{httpd.server_port}")
    try:
        with course_data(folder), url:
            yield httpd
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def test_an_official_file_is_streamed_until_there_are_enough_and_kept(tmp_path: Path):
    with official_server(tmp_path) as httpd:
        path = drawings.fetch_official("alarm clock", 20)
        assert httpd.sent < 50_000
        assert path.name == "alarm clock-20.ndjson.gz"
        assert len(files(tmp_path)) == 1
        with gzip.open(path) as stream:
            keys = [r.key_id for r in read_ndjson(stream, path.name, "alarm clock")]
        assert keys == [n for n in range(30) if n % 3][:20]  # the recognised ones, in order
        assert drawings.fetch_official("alarm clock", 20) == path
        assert httpd.requests == ["alarm clock"]  # the second time it came from the cache


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("missing", "status 404"),
        ("few", "only 4 recognised drawings, not 20"),
        ("truncated", "broke off"),
        ("spoilt", "line 5, is no drawing"),
    ],
)
def test_a_faulty_official_file_is_one_sentence_and_leaves_nothing(word, words, tmp_path: Path):
    with official_server(tmp_path):
        with pytest.raises(data.DataError, match=words):
            drawings.fetch_official(word, 20)
        assert files(tmp_path) == {}


def test_without_a_server_or_a_network_an_official_file_is_unavailable(tmp_path: Path):
    with official_server(tmp_path):
        with (
            mock.patch.object(drawings, "OFFICIAL", "http://127.0.0.1:1"),
            pytest.raises(data.Unavailable, match="cannot be reached"),
        ):
            drawings.fetch_official("ant", 20)
        with mock.patch.dict(os.environ, NN_COURSE_OFFLINE="1"), pytest.raises(data.Unavailable):
            drawings.fetch_official("ant", 20)


def test_a_full_disk_is_one_sentence(tmp_path: Path):
    full = mock.patch("gzip.GzipFile.write", side_effect=OSError(28, "No space left"))
    with official_server(tmp_path):
        with full, pytest.raises(data.DataError, match="the disk is full"):
            drawings.fetch_official("ant", 20)
        assert files(tmp_path) == {}


def test_a_damaged_file_in_the_cache_is_one_sentence(tmp_path: Path):
    with official_server(tmp_path):
        path = drawings.fetch_official("ant", 20)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(data.DataError, match="delete it"):
            official_quick_draw(["ant"], 20)


def test_the_full_size_loader_makes_splits_of_official_files(tmp_path: Path):
    with official_server(tmp_path) as httpd:
        doodles = official_quick_draw(["ant", "alarm clock"], 20)
        assert httpd.requests == ["ant", "alarm clock"]
    assert sizes(doodles) == [28, 4, 8]
    assert not doodles.is_stand_in
    assert set(doodles.sha256) == {"ant-20.ndjson.gz", "alarm clock-20.ndjson.gz"}


def sizes(doodles: DrawingData) -> list[int]:
    return [len(split) for split in (doodles.train, doodles.validation, doodles.test)]


def require_sound(doodles: DrawingData) -> None:
    """Balanced classes, no drawing in two splits, by key or by content."""
    splits = (doodles.train, doodles.validation, doodles.test)
    for split in splits:
        assert len(set(np.bincount(split.labels))) == 1
        assert len(np.bincount(split.labels)) == len(doodles.class_names)
    keys = np.concatenate([split.key_ids for split in splits])
    assert len(set(keys.tolist())) == len(keys)
    contents = [steps.tobytes() for split in splits for steps in split.steps]
    assert len(set(contents)) == len(contents)


def test_the_real_drawings_where_they_are_at_hand():
    doodles = quick_draw()
    if doodles.is_stand_in:
        pytest.skip("no pack of Quick, Draw! on this machine")
    assert sizes(doodles) == [5600, 800, 1600]
    require_sound(doodles)
    points = np.cumsum(doodles.train.steps[0][:, :2], axis=0)
    assert (points.min(), points.max()) >= (0, 200)
    again = quick_draw(per_class=100)
    assert sizes(again) == [700, 100, 200]


@pytest.mark.parametrize("classes", [("cat", "ant"), ("ant", "unicorn")])
def test_classes_of_another_source_never_join(classes):
    if quick_draw(per_class=10).is_stand_in:
        pytest.skip("no pack of Quick, Draw! on this machine")
    with pytest.raises(ValueError, match="the pack has 0 drawings of '(cat|unicorn)', not 800"):
        quick_draw(classes)


def test_the_official_sample_where_it_is_at_hand():
    doodles = quick_draw()
    sample = official_sample(doodles)
    if sample.is_stand_in:
        pytest.skip("no sample of Quick, Draw! on this machine")
    assert np.bincount(sample.drawings.labels).tolist() == [25] * 10
    ours = doodles.train.key_ids[:, None]
    assert len(shared(ours, sample.drawings.key_ids[:, None])) > 50  # a test would be a leak
    with pytest.raises(ValueError, match="unicorn"):
        official_sample(replace(doodles, class_names=("ant", "unicorn")))


def test_a_missing_sample_says_so_and_shares_no_key_with_the_shapes(capsys):
    shapes = wobbly_shapes(20)
    sample = official_sample(shapes)
    assert sample.is_stand_in
    assert capsys.readouterr().out == ""  # the data set said so already
    keys = np.concatenate([s.key_ids for s in (shapes.train, shapes.validation, shapes.test)])
    assert len(shared(keys[:, None], sample.drawings.key_ids[:, None])) == 0
    with mock.patch.object(data, "fetch", side_effect=data.Unavailable("No network.")):
        assert official_sample(replace(shapes, is_stand_in=False)).is_stand_in
    assert capsys.readouterr().out.startswith(STAND_IN)


def test_without_anything_shapes_stand_in_and_say_so(tmp_path: Path, capsys):
    missing = mock.patch.object(data, "fetch", side_effect=data.Unavailable("No network."))
    offline = mock.patch.dict(os.environ, NN_COURSE_OFFLINE="1")
    with course_data(tmp_path), offline, missing:
        doodles = quick_draw(per_class=20)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{STAND_IN} Quick, Draw! cannot be had here.")
    assert printed.count("\n") == 1
    assert doodles.is_stand_in
    assert sizes(doodles) == [140, 20, 40]


def test_with_a_network_but_no_pack_official_drawings_stand_in(tmp_path: Path, capsys):
    missing = mock.patch.object(data, "fetch", side_effect=data.Unavailable("No pack."))
    with official_server(tmp_path), missing:
        doodles = quick_draw(["ant", "pig"], 20)
    assert capsys.readouterr().out.startswith(STAND_IN)
    assert doodles.is_stand_in  # the lesson's numbers were not measured on these
    assert sizes(doodles) == [28, 4, 8]


def test_a_damaged_pack_is_never_replaced_by_a_stand_in():
    damaged = mock.patch.object(data, "fetch", side_effect=data.DataError("damaged."))
    with damaged, pytest.raises(data.DataError):
        quick_draw()


def test_shapes_are_sound_wobbly_and_always_the_same():
    shapes, again = wobbly_shapes(50), wobbly_shapes(50)
    assert sizes(shapes) == [350, 50, 100]
    require_sound(shapes)
    for one, other in zip(shapes.test.steps, again.test.steps, strict=True):
        np.testing.assert_array_equal(one, other)
    points = [np.concatenate(to_strokes(steps)) for steps in shapes.train.steps]
    assert {p.max() for p in points} == {255}
    assert {p.min() for p in points} == {0}


def test_moves_begin_in_the_middle_and_have_size_6_and_an_empty_drawing_is_one_step():
    steps = drawings.from_strokes([[[0, 100], [50, 50]], [[100, 50], [0, 50]]])
    np.testing.assert_allclose(
        drawings.moves(steps), [[-3, 1.5, 0], [6, 0, 1], [0, -3, 0], [-3, 3, 1]]
    )
    assert drawings.moves(drawings.from_strokes([[[9], [9]]])).tolist() == [[0, 0, 1]]
    assert drawings.moves(drawings.from_strokes([])).tolist() == [[0, 0, 0]]


def test_a_plus_and_a_tee_differ_by_their_jump_alone():
    shapes = drawings.SHAPES
    for plus, tee in zip(shapes["plus"], shapes["tee"], strict=True):
        np.testing.assert_allclose(np.diff(plus, axis=0), np.diff(tee, axis=0))
