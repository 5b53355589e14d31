"""Row 79: the application's page checked in a browser without a screen."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from tempfile import TemporaryDirectory

from app import recorded
from utils.paths import ROOT


def measure(seed: int, profile: str) -> dict[str, float]:
    """Share of the browser's checks that pass, and of the drawn pixels that are read."""
    return {
        "headless_checks_passed_share": passed_share("tests/test_app_browser.py"),
        "pixels_read_by_pool_share": recorded.pixels_read(),
    }


def passed_share(tests: str) -> float:
    """Share of a file's tests that pass; a skipped one has not passed."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", tests, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, capture_output=True)
        suite = ElementTree.parse(report).find("testsuite")
    count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    return 1 - (count["failures"] + count["errors"] + count["skipped"]) / count["tests"]
