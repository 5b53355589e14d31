"""The generated parts of README.md and of the README pages of results and topics.

Between ``<!-- NAME -->`` and ``<!-- /NAME -->`` stands what this module makes from the notebooks,
the ledger and the result files. ``make format`` writes it; a test fails when it is out of date.
"""

import json
import re
from collections.abc import Container
from pathlib import Path

from benchmarks import beside, nn_speed
from tools import notebooks, questions
from utils import results
from utils.paths import RESULTS, ROOT
from utils.results import Claim, Result

HIGHLIGHTS = (  # (id, metric) of the short table: each a different kind of mistake, or of success
    ("kaggle-digits", "competition_score"),
    ("cnn-digit-nets", "test_accuracy"),
    ("image-competition", "validation_accuracy"),
    ("torch-pair-cnn", "test_accuracy"),
    ("store-type-knn", "grouped_test_accuracy"),
    ("kernel-svm-by-hand", "c0"),
    ("matrix-class", "c_determinant"),
    ("optimiser-comparison", "test_accuracy_sgd"),
    ("doodle-gru", "gain_over_recreated"),
    ("plate-recogniser", "plate_accuracy"),
)

TABLE_HEAD = (
    "| row | system | metric | claimed | honest reading | ours | seeds |\n"
    "|---:|---|---|---:|---:|---:|---:|"
)


def index() -> str:
    """One table a topic: notebook, badge, minutes, headline."""
    parts = []
    for topic in notebooks.course()["topics"]:
        rows = [_index_row(p) for p in notebooks.find() if notebooks.name_of(p).startswith(topic)]
        if rows:
            head = "| notebook | | minutes | headline |\n|---|---|---:|---|"
            parts.append("\n".join([f"### {topic}", "", head, *rows]))
    return "\n\n".join(parts)


def _index_row(path: Path) -> str:
    title, said = head_of(path)
    head = notebooks.read(path).cells[0].source
    minutes = re.search(r"^\*Time: (\d+)", head, flags=re.MULTILINE)[1]
    return (
        f"| [{title}]({notebooks.name_of(path)}) | {notebooks.badge(path)} | {minutes} | {said} |"
    )


def head_of(path: Path) -> tuple[str, str]:
    """Title and headline of a notebook."""
    head = notebooks.read(path).cells[0].source
    title = re.search(r"\A# (.+)$", head, flags=re.MULTILINE)[1]
    headline = re.search(r"^\*\*Headline:\*\* ((?:.+\n?)+)", head, flags=re.MULTILINE)[1]
    said = " ".join(headline.split())
    return title, said[0].upper() + said[1:]


def measured() -> str:
    """The honest-number table of the systems that have been measured."""
    systems = {c.row for c in results.ledger()}
    done = {c.row for c in results.ledger() if _result(c.id)}
    counted = f"{len(done)} of {len(systems)} systems are measured so far"
    return f"{measured_in(systems)}\n\n{counted}; [the whole ledger](results/README.md)."


def highlights() -> str:
    """The few rows that a newcomer should see first."""
    known = {(c.id, c.metric): c for c in results.ledger()}
    return "\n".join([TABLE_HEAD, *(_ledger_row(known[key]) for key in HIGHLIGHTS)])


def measured_in(rows: Container[int]) -> str:
    """The measured metrics among some rows of the ledger."""
    known = (c for c in _by_row() if c.row in rows and _result(c.id))
    return "\n".join([TABLE_HEAD, *map(_ledger_row, known)])


def whole_ledger() -> str:
    """The table of every claim, measured or not."""
    return "\n".join([TABLE_HEAD, *(_ledger_row(claim) for claim in _by_row())])


def _by_row() -> list[Claim]:
    return sorted(results.ledger(), key=lambda claim: claim.row)


def _ledger_row(claim: Claim) -> str:
    result = _result(claim.id)
    linked = claim.notebook not in (results.NOT_YET, "none")
    system = f"[{claim.system}](/{claim.notebook})" if linked else claim.system
    ours = ours_of(result, claim.metric) if result else results.NOT_YET
    seeds = len(result.values(claim.metric)) if result else "–"
    metric = claim.metric.replace("_", " ")
    return (
        f"| {claim.row} | {system} | {metric} | {_number(claim.claimed)} "
        f"| {_number(claim.honest)} | {ours} | {seeds} |"
    )


def ours_of(result: Result, metric: str) -> str:
    """``0.9512 ± 0.001`` (half the 95 % interval over seeds), or the value of a single run."""
    bounds = result.interval(metric)
    half = float(f"{(bounds[1] - bounds[0]) / 2:.1g}") if bounds else None  # one digit
    return _number(result.mean(metric)) + (f" ± {_number(half)}" if bounds else "")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return "–" if value == "none" else value
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _result(id: str) -> Result | None:
    return results.read(id) if (RESULTS / f"{id}.json").is_file() else None


def benchmarks() -> str:
    """Ratios of the last ``make bench``: a training step of ours over one of PyTorch."""
    record = json.loads((RESULTS / "benchmarks" / "nn_speed.json").read_text("utf-8"))
    return nn_speed.table({int(n): cases for n, cases in record["threads"].items()})


def generated(text: str, name: str, content: str) -> str:
    """``text`` with ``content`` between its two ``name`` markers; ValueError without them."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there are no markers <!-- {name} --> … <!-- /{name} -->.")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def pages() -> dict[Path, str]:
    """Each page with generated parts, as it should be now."""
    front, full = ROOT / "README.md", RESULTS / "README.md"
    topics = ("medium", "ONE_KnowledgeDistillation", "OptimisationNN", "app")
    theory, one, plates, app = (ROOT / topic / "README.md" for topic in topics)
    text = generated(front.read_text("utf-8"), "index", index())
    text = generated(text, "highlights", highlights())
    text = generated(text, "benchmarks", benchmarks())
    text = generated(text, "other benchmarks", beside.table())
    return {
        front: generated(text, "honest numbers", measured()),
        full: generated(full.read_text("utf-8"), "ledger", whole_ledger()),
        theory: generated(theory.read_text("utf-8"), "questions", questions.table()),
        one: generated(one.read_text("utf-8"), "results", measured_in(range(41, 57))),
        plates: generated(plates.read_text("utf-8"), "results", measured_in(range(36, 41))),
        app: generated(app.read_text("utf-8"), "results", measured_in({69, 70, 79, 86, 90, 93})),
    }


def main() -> None:
    """Bring the generated parts up to date."""
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
