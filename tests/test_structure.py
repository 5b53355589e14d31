"""The house as design: layers, light imports, small functions, no secrets, clean code."""

import ast
import graphlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tools.notebooks import CONSOLIDATED
from utils.missing import requirements
from utils.paths import MODELS, ROOT

# Each module of utils and the layer it stands on; it may import only from lower layers.
LAYERS = (
    {"paths", "profile", "history"},
    {"nn", "data", "missing", "checkpoints", "centring"},
    {"datasets", "metrics", "results"},
    {
        "claims",
        "models",
        "plots",
        "training",
        "vision",
        "leaks",
        "digits",
        "drawings",
        "kaggle",
        "photos",
        "course_files",
        "grading",
    },
    {"networks", "backbones"},
    {"transfer"},
)
PACKAGES = ("nn", "grading")  # modules of theirs import each other, without cycles
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

MODULES = sorted((ROOT / "utils").rglob("*.py"))
FOLDERS = (
    *("utils", "tools", "benchmarks", "tests"),
    *("ONE_KnowledgeDistillation", "DigitalMarketing", "OptimisationNN", "app"),
)
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def dotted(path: Path) -> str:
    """utils/nn/conv.py → utils.nn.conv; a package goes by its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> set[str]:
    """Dotted names of the modules of utils that a module imports, anywhere in it."""
    known, found = {dotted(p) for p in MODULES}, set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= inner or ({node.module} & known)
    return found


def layer(name: str) -> str:
    """The part of a dotted name that has a layer: utils.nn.conv → nn."""
    return name.split(".")[1]


def test_every_module_has_a_layer():
    assert {layer(dotted(path)) for path in MODULES if dotted(path) != "utils"} == set(LAYER_OF)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down(path: Path):
    if dotted(path) == "utils":
        return
    own = layer(dotted(path))
    others = {layer(name) for name in imported(path)} - ({own} if own in PACKAGES else set())
    assert {name for name in others if LAYER_OF[name] >= LAYER_OF[own]} == set()


def test_no_module_imports_itself_by_a_detour():
    packages = {dotted(path) for path in MODULES if path.stem == "__init__"}
    graph = {dotted(path): imported(path) - packages for path in MODULES}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_nothing_but_tests_imports_tests():
    outside = [p for p in SOURCES if "tests" not in p.parts]
    importing = [
        p.name
        for p in outside
        if re.search(r"^from tests|^import tests", p.read_text("utf-8"), re.M)
    ]
    assert importing == []


def test_import_utils_is_light():
    program = (
        "import sys, time\n"
        "start = time.perf_counter()\n"
        "import utils\n"
        "seconds = time.perf_counter() - start\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "print(seconds, *heavy)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    seconds, *heavy = run.stdout.split()
    assert heavy == []
    assert float(seconds) < 0.1


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("nn", "torch"),
        ("nn", "scipy"),
        ("claims", "numpy"),
        ("profile", "numpy"),
        ("data", "numpy"),
        ("datasets", "torch"),
        ("drawings", "torch"),
        ("datasets", "sklearn"),
        ("metrics", "torch"),
        ("metrics", "sklearn"),
        ("plots", "torch"),
        ("plots", "sklearn"),
        ("results", "torch"),
        ("models", "torch"),
        ("training", "sklearn"),
    ],
)
def test_a_module_imports_only_what_it_needs(module: str, without: str):
    program = f"import sys, utils.{module}; sys.exit({without!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def functions() -> list[tuple[str, int]]:
    """Every function outside the tests with its number of lines, docstring left out."""
    found = []
    for path in (p for p in SOURCES if "tests" not in p.parts):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[ast.get_docstring(node) is not None :]
                start = first[0].lineno if first else node.end_lineno
                found.append((f"{path.stem}.{node.name}", node.end_lineno - start + 2))
    return found


def test_functions_are_small():
    lengths = [length for _, length in functions()]
    assert statistics.median(lengths) <= 8
    assert max(functions(), key=lambda pair: pair[1])[1] <= 30


def test_public_functions_say_what_they_do_and_are_typed():
    silent, untyped = [], []
    for path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if not ast.get_docstring(node):
                    silent.append(f"{dotted(path)}.{node.name}")
                if isinstance(node, ast.FunctionDef) and any(
                    a.annotation is None for a in node.args.args + node.args.kwonlyargs
                ):
                    untyped.append(f"{dotted(path)}.{node.name}")
    assert silent == []
    assert untyped == []


def test_ruff_finds_nothing():
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "-q", "."],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout


def test_every_requirement_is_pinned_with_a_reason():
    text = (ROOT / "requirements.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.]+ +# \S.{10,}", line), line
    assert "torch==2.13.0" in requirements()
    assert "torchvision==0.28.0" in requirements()
    assert "nbval==0.11.0" in requirements("tests")


def tracked() -> list[Path]:
    """The files of the repository, or of the folder where it is no repository."""
    run = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in run.stdout.splitlines() if (ROOT / name).is_file()]


SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|"
    r"\"key\":\s*\"[0-9a-f]{32}\"|xox[bap]-[0-9A-Za-z-]{10,}"
)
MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|content|tmp)/[\w.-]+")
PICTURE = re.compile(r'"image/png": "[^"]*"')  # in base64, any short word comes up by chance


def test_no_secret_and_no_path_of_a_machine_is_committed():
    found = []
    for path in tracked():
        text = path.read_text("utf-8", errors="ignore") if path.suffix != ".npz" else ""
        text = PICTURE.sub("", text)
        found += [f"{path.name}: {m.group()[:40]}" for m in SECRET.finditer(text)]
        found += [f"{path.name}: {m.group()}" for m in MACHINE.finditer(text)]
    assert found == []
    assert not [path for path in tracked() if path.name in ("kaggle.json", ".env")]


def test_no_data_is_committed():
    limits = {MODELS: 6_000_000, CONSOLIDATED.parent: 3_000_000}  # bytes; elsewhere a megabyte
    heavy = [p.name for p in tracked() if p.stat().st_size > limits.get(p.parent, 1_000_000)]
    data = [p.name for p in tracked() if p.suffix in (".gz", ".xz", ".tar", ".zip", ".csv")]
    assert heavy + data == []
