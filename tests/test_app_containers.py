"""The container files: linted, and their commands run here; `tests.containers` does more."""

import sys
from pathlib import Path

from tests import containers
from utils.paths import ROOT


def test_both_files_pass_their_linters():
    assert containers.linted() == {"Dockerfile": True, "compose.yaml": True}


def test_every_service_starts_is_healthy_and_reads():
    done = containers.checks_of_services(Path(sys.executable), ROOT)
    assert len(done) == 5
    assert all(done.values()), done


def test_the_image_is_small_safe_and_pinned():
    words = containers.instructions()
    assert [rest.split()[0] for word, rest in words if word == "FROM"][0].count(".") >= 2
    assert ("USER", "10001") in words
    assert sum(word == "FROM" for word, _ in words) == 2
    text = containers.COMPOSE.read_text("utf-8")
    assert "read_only: true" in text
    assert "no-new-privileges:true" in text


def test_every_pin_of_the_image_is_one_of_the_course():
    import subprocess

    lines = subprocess.run(
        ["sh", "app/pins.sh", "all"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    pins = {line.split("==")[0] for line in lines}
    needed = {"numpy", "pillow", "shapely", "fastapi", "uvicorn", "torch", "scipy", "matplotlib"}
    assert needed <= pins
