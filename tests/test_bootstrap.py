"""The setup cell: the same everywhere, and it finds or fetches the course from any folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import notebooks
from utils import missing
from utils.paths import ROOT

PROBE = "\nimport utils.claims\nprint(utils.ROOT)\n"


def run_cell(folder: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Run the setup cell in ``folder`` as a kernel started there would."""
    program = before + notebooks.bootstrap() + PROBE
    command = [sys.executable, "-c", program]
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def clone_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Git settings that lead the course's address to a local copy of this tree."""
    copy = tmp_path_factory.mktemp("origin") / "course"
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", ".*_cache", "*.ipynb")
    shutil.copytree(ROOT, copy, ignore=ignored)
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", *settings, *command], cwd=copy, check=True)
    subprocess.run(["git", "branch", "-M", notebooks.course()["ref"]], cwd=copy, check=True)
    address = f"https://github.com/{notebooks.course()['repository']}"
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{copy}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


@pytest.mark.parametrize("folder", [".", "basic", "tests/fixtures/pass"])
def test_it_finds_the_course_from_any_folder_of_it(folder: str):
    run = run_cell(ROOT / folder)
    assert (run.stdout.strip(), run.stderr) == (str(ROOT), "")


def test_alone_in_an_empty_folder_it_fetches_the_course_once(tmp_path: Path, clone_settings):
    run = run_cell(tmp_path, **clone_settings)
    assert run.stdout.strip() == str(tmp_path / "course"), run.stderr
    (tmp_path / "course" / "mark").touch()
    again = run_cell(tmp_path)  # without the settings: nothing is fetched a second time
    assert again.stdout.strip() == str(tmp_path / "course")
    assert (tmp_path / "course" / "mark").exists()


def test_without_the_course_and_without_a_network_git_says_why(tmp_path: Path):
    blocked = {"GIT_ALLOW_PROTOCOL": "none"}
    run = run_cell(tmp_path, **blocked)
    assert run.returncode != 0
    assert "git" in run.stderr


def test_a_foreign_utils_is_refused(tmp_path: Path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    before = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport utils\n"
    run = run_cell(ROOT, before)
    assert run.returncode != 0
    assert "another package called utils hides the course's: restart the kernel" in run.stderr


def test_every_notebook_has_this_setup_cell_and_its_own_badge():
    for path in notebooks.find():
        notebook = notebooks.read(path)
        assert notebooks.code_cells(notebook)[0].source == notebooks.bootstrap(), path
        assert notebooks.badge(path) in notebook.cells[0].source, path


def test_owner_and_name_stand_in_one_place():
    run = subprocess.run(
        ["git", "grep", "-l", notebooks.course()["repository"], "--", ":!*.ipynb", ":!README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["pyproject.toml"]


def test_only_what_is_missing_is_installed_and_never_numpy_or_torch(monkeypatch):
    commands = []
    installed = {"numpy": "2.1.3", "torch": "2.11.0", "pandas": "2.2.3"}
    monkeypatch.setattr(missing, "requirements", lambda: ["numpy==9", "pandas==9", "pooch==9"])
    monkeypatch.setattr(missing, "_version", installed.get)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    missing.install()
    assert commands == [
        [sys.executable, "-m", "pip", "install", "-q", "pooch==9", "numpy==2.1.3", "torch==2.11.0"]
    ]


@pytest.mark.parametrize(("here", "wanted"), [("1.6.1", True), ("1.9.0", False), ("2.0", False)])
def test_a_library_older_than_the_lessons_need_is_renewed(here: str, wanted: bool, monkeypatch):
    commands = []
    monkeypatch.setattr(missing, "requirements", lambda: ["scikit-learn==1.9.1"])
    monkeypatch.setattr(missing, "_version", {"scikit-learn": here}.get)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    missing.install()
    assert ["scikit-learn==1.9.1" in command for command in commands] == [True] * wanted


def test_where_all_is_there_nothing_is_installed(monkeypatch):
    def refuse(*_: object, **__: object):
        raise AssertionError("pip was called")

    monkeypatch.setattr(subprocess, "run", refuse)
    missing.install()
