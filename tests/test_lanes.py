"""Drift lanes: what they install, how they report, and the files of the hosting CI."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import lanes
from utils.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_locked_lane_is_the_one_list_of_pins():
    text = (ROOT / "requirements.txt").read_text("utf-8")
    lines = [line.split()[0] for line in text.splitlines() if line and line[0] != "#"]
    assert lanes.requirements("locked") == lines


def test_the_newest_lane_frees_all_but_what_it_keeps():
    found = lanes.requirements("newest")
    exact = {line.split("==")[0] for line in found if "==" in line}
    assert exact == {"torch", "torchvision", "nbval"}
    assert [line.replace(">=", "==") for line in found] == lanes.requirements("locked")


def test_the_colab_lane_takes_colabs_versions_and_pins_the_rest():
    found = dict(line.split("==") for line in lanes.requirements("colab"))
    assert found["pandas"] == "2.2.3"
    others = {name: version for name, version in lanes.pins().items() if found[name] == version}
    assert len(others) == len(found) - len(lanes.lanes()["colab"]["versions"])


def test_unknown_lanes_and_libraries_are_named(monkeypatch):
    with pytest.raises(ValueError, match="no lane called 'future'; there are locked, newest"):
        lanes.requirements("future")
    monkeypatch.setattr(lanes, "lanes", lambda: {"odd": {"versions": {"tensorflow": "1.0"}}})
    with pytest.raises(ValueError, match="lane odd: requirements.txt does not pin tensorflow"):
        lanes.requirements("odd")


def test_a_report_says_what_differs_and_how_the_tests_ended(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lanes, "pins", lambda: {"numpy": "1.0", "no-such-library": "2.0"})
    log = tmp_path / "tests.log"
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    found = lanes.report("newest", log)
    assert f"- numpy 1.0 → {lanes._installed('numpy')}\n" in found
    assert "- no-such-library 2.0 → missing\n" in found
    assert "line 99\n```" in found
    assert "line 39\n" not in found


def test_no_library_is_needed_to_list_a_lane():
    command = [sys.executable, "-S", "-m", "tools.lanes", "newest"]  # -S: no site-packages
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == lanes.requirements("newest")


def test_the_workflows_are_well_formed_and_run_the_lanes_there_are():
    checker = [sys.executable, "-m", "check_jsonschema"]
    schema = ["--builtin-schema", "vendor.github-workflows"]
    subprocess.run([*checker, *schema, *map(str, WORKFLOWS)], check=True, capture_output=True)
    drift = (ROOT / ".github" / "workflows" / "drift.yml").read_text("utf-8")
    assert all(f"lane: {name}," in drift for name in lanes.lanes())
