"""The checker, tested by notebooks that must fail, each for its one reason, and that must pass."""

import datetime
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import matplotlib
import nbformat
import pytest

from tests.fixtures.make import FAIL, PASS
from tools import notebooks
from tools.lanes import pins
from utils.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures"

# What another computer may have: two threads, or a processor without AVX-512 or without AVX2.
MACHINES = {
    "two threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "AVX2": {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2"},
    "SSE4": {"OPENBLAS_CORETYPE": "Nehalem", "ATEN_CPU_CAPABILITY": "default"},
}


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Run the checker on fixtures in a process of its own; its report lands in ``folder``."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider"]
    command += ["--color=no", f"--junitxml={folder / 'report.xml'}", *map(str, arguments)]
    environment = {**os.environ, "NN_COURSE_TIMES": "", **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """For each fixture: cell → its failure as told, '' when it passed, “skipped: …”."""
    folder, hangs = tmp_path_factory.mktemp("fixtures"), FIXTURES / "fail" / "hangs.ipynb"
    run(folder, FIXTURES / "fail", FIXTURES / "pass", f"--ignore={hangs}")
    found = told_in(folder / "report.xml")
    run(folder, hangs, "--nbval-cell-timeout=3")  # too short for a loaded machine's imports
    return found | told_in(folder / "report.xml")


def told_in(report: Path) -> dict[str, dict[str, str]]:
    """notebook → cell → what a junit report tells of it."""
    found: dict[str, dict[str, str]] = {}
    for case in xml.parse(report).iter("testcase"):
        notebook = case.get("classname").removesuffix(".ipynb").split(".")[-1]
        words = [f"{part.tag}: {part.text or part.get('message')}" for part in case]
        told = [w for w in words if w.startswith(("failure", "error", "skipped"))]
        found.setdefault(notebook, {})[case.get("name")] = "\n".join(told)
    return found


# Another minor version of Matplotlib lays out texts differently: pictures are not compared then.
ONLY_IN_THE_PICTURE = ("wrong_picture", "one_mark_moved")
PICTURES_ARE_COMPARED = pins()["matplotlib"].split(".")[:2] == matplotlib.__version__.split(".")[:2]


@pytest.mark.parametrize("name", FAIL)
def test_a_spoiled_notebook_fails_for_its_one_reason(name: str, reports: dict):
    told = [words for words in reports[name].values() if words]
    failures = [words for words in told if words.startswith("failure")]
    if name in ONLY_IN_THE_PICTURE and not PICTURES_ARE_COMPARED:
        assert told == []
        return
    assert len(failures) == 1
    assert FAIL[name][2] in failures[0]
    assert all(words.startswith("skipped") for words in told if words not in failures)
    assert f"fail/{name}.ipynb, " in failures[0]
    assert "cell [" in failures[0]


@pytest.mark.parametrize("name", PASS)
def test_a_sound_notebook_passes(name: str, reports: dict):
    assert [words for words in reports[name].values() if words] == []


def test_every_fixture_is_there():
    for folder, table in (("fail", FAIL), ("pass", PASS)):
        assert {path.stem for path in (FIXTURES / folder).glob("*.ipynb")} == set(table)
    assert len(FAIL) >= 20
    assert len(PASS) >= 8


@pytest.mark.parametrize("machine", MACHINES)
def test_other_machines_give_the_stored_outputs(machine: str, tmp_path: Path):
    paths = [FIXTURES / "pass" / f"{name}.ipynb" for name in ("unchanged", "other_processor")]
    done = run(tmp_path, *paths, **MACHINES[machine])
    assert done.returncode == 0, done.stdout


def test_a_report_says_where_what_and_what_to_do(reports: dict):
    told = reports["wrong_number"]["[3]"]
    assert "tests/fixtures/fail/wrong_number.ipynb, cell [3], under “Is it checked?”" in told
    assert "stored: 1000 values" in told
    assert "now:    1000 values" in told
    assert "| rng = np.random.default_rng(0)" in told
    assert "make store NOTEBOOK=" in told


def test_after_the_first_failure_a_notebook_is_skipped(tmp_path: Path):
    source = FIXTURES / "fail" / "wrong_number.ipynb"
    notebook = notebooks.read(source)
    again = nbformat.v4.new_code_cell("1 / 0", execution_count=4)
    notebook.cells.append(again)
    path = FIXTURES / "two_faults.ipynb"
    notebooks.write(path, notebook)
    try:
        done = run(tmp_path, path)
    finally:
        path.unlink()
    assert "1 failed, 2 passed, 1 skipped" in done.stdout
    assert "this notebook failed in cell [3]" in done.stdout


def test_the_head_of_the_report_says_that_stand_ins_are_not_compared(tmp_path: Path):
    empty = {"NN_COURSE_OFFLINE": "1", "NN_COURSE_DATA": str(tmp_path)}
    done = run(
        tmp_path, FIXTURES / "pass" / "stand_in_data.ipynb", XDG_CACHE_HOME=str(tmp_path), **empty
    )
    assert "run, but not compared" in done.stdout
    assert "not compared, on stand-in data: tests/fixtures/pass/stand_in_data" in done.stdout


def test_times_are_kept_of_the_notebooks_that_were_verified(tmp_path: Path):
    empty = {"NN_COURSE_OFFLINE": "1", "NN_COURSE_DATA": str(tmp_path)}
    times = tmp_path / "times.json"
    names = ["pass/stand_in_data", "pass/unchanged", "fail/wrong_number"]
    paths = [FIXTURES / f"{name}.ipynb" for name in names]
    run(tmp_path, *paths, XDG_CACHE_HOME=str(tmp_path), NN_COURSE_TIMES=str(times), **empty)
    found = json.loads(times.read_text("utf-8"))
    assert found["date"] == datetime.date.today().isoformat()
    assert list(found["seconds"]) == ["tests/fixtures/pass/unchanged.ipynb"]
    assert found["seconds"]["tests/fixtures/pass/unchanged.ipynb"] > 0
