"""The tasks of part 1: tables, Bayes, matrices, neighbours, metrics, tracks, kernels."""

import ast
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from utils.grading.criteria import (
    Criterion,
    Failed,
    Names,
    Task,
    expect,
    expect_error,
    expect_true,
    need,
)

# --- S01: a split ----------------------------------------------------------------------------


def _table(rows: int = 891) -> Any:
    import pandas as pd

    return pd.DataFrame({"id": np.arange(rows), "value": np.arange(rows) ** 2 % 97})


def _split_sizes(names: Names) -> None:
    split = need(names, "split")
    for rows, share, wanted in ((891, 0.8, (712, 179)), (10, 0.5, (5, 5)), (7, 0.7, (4, 3))):
        expect(
            f"sizes of split of {rows} rows at {share}",
            lambda: _lengths(split(_table(rows), share)),
            wanted,
        )


def _lengths(parts: Any) -> tuple[int, ...]:
    return tuple(len(part) for part in parts)


def _split_parts(names: Names) -> None:
    split = need(names, "split")
    ids = [set(part["id"]) for part in split(_table(), 0.8)]
    expect_true("split(table, 0.8)", lambda: not ids[0] & ids[1], "a row stands in both parts")
    expect_true("split(table, 0.8)", lambda: len(ids[0] | ids[1]) == 891, "rows are lost")
    first = [i for i in range(712) if i in ids[0]]
    expect_true("split(table, 0.8)", lambda: len(first) < 650, "the rows are not shuffled")


def _split_again(names: Names) -> None:
    split, table = need(names, "split"), _table()
    np.random.seed(1)  # noqa: NPY002  a student's code may lean on the global state
    one = list(split(table, 0.8)[0]["id"])
    np.random.seed(2)  # noqa: NPY002
    expect("the same split, asked again", lambda: list(split(table, 0.8)[0]["id"]), one)
    expect("the table afterwards", lambda: list(table["id"]), list(range(891)))


def _split_bad(names: Names) -> None:
    for share in (0, 1, -0.2, 1.5):
        expect_error(
            f"split(table, {share})", lambda share=share: need(names, "split")(_table(), share)
        )


SPLIT = Task(
    "PART1-S01-SPLIT",
    "split(table, share): two tables, the first with ⌊share · rows⌋ rows, the same every time",
    (
        Criterion("both parts have the right size", 2, _split_sizes),
        Criterion("every row stands in exactly one part, in random order", 3, _split_parts),
        Criterion("asked again, the same parts; the table is left alone", 3, _split_again),
        Criterion("a share outside of 0 … 1 is refused with ValueError", 2, _split_bad),
    ),
)

# --- S02: Bayes ------------------------------------------------------------------------------


def _density(x: float, label: int) -> float:
    if label == 1:
        return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return math.exp(-x) if x >= 0 else 0.0


def _decision(x: float, prior: float, minus: float, plus: float) -> int:
    return -1 if minus * prior * _density(x, -1) > plus * (1 - prior) * _density(x, 1) else 1


def _risk(prior: float, minus: float, plus: float) -> float:
    """Integral of the smaller of both expected losses, by Simpson's rule."""
    from scipy.integrate import quad

    def loss(x: float) -> float:
        return min(minus * prior * _density(x, -1), plus * (1 - prior) * _density(x, 1))

    return quad(loss, 0, 60, limit=400, points=[0.5, 1, 1.5, 2, 2.5, 3, 4])[0]


def _threshold(names: Names) -> None:
    expect("threshold()", need(names, "threshold"), 2.165910593024557, 1e-8)


def _risk_of_task(names: Names) -> None:
    expect(
        "average_risk(0.25, 2, 2)",
        lambda: need(names, "average_risk")(0.25, 2, 2),
        0.4654157689276084,
        1e-7,
    )


SETTINGS = ((0.25, 2, 2), (0.5, 1, 3), (0.6, 1, 1), (0.9, 5, 1), (0.1, 1, 4))


def _decides(names: Names) -> None:
    decide = need(names, "decide")
    for setting in SETTINGS:
        for x in (-3.0, -0.01, 0.01, 0.4, 0.9, 1.7, 2.1, 2.2, 5.0):
            expect(
                f"decide({x}, {setting})", lambda: int(decide(x, *setting)), _decision(x, *setting)
            )


def _risks(names: Names) -> None:
    for setting in SETTINGS:
        expect(
            f"average_risk{setting}",
            lambda: need(names, "average_risk")(*setting),
            _risk(*setting),
            1e-5,
        )


BAYES = Task(
    "PART1-S02-BAYES",
    "threshold(), decide(x, prior, loss_minus, loss_plus), average_risk(prior, …)",
    (
        Criterion("the threshold of the task", 2, _threshold),
        Criterion("its average risk", 2, _risk_of_task),
        Criterion("decisions for other priors and losses, also for x < 0", 3, _decides),
        Criterion("average risks for other priors and losses", 3, _risks),
    ),
)


def _clouds(seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1, 2], (30, 50, 20)))
    centres, widths = rng.normal(0, 2, (3, 2)), rng.uniform(0.3, 2, (3, 2))
    points = centres[labels] + widths[labels] * rng.normal(size=(100, 2))
    return points, labels, rng.normal(0, 3, (60, 2))


def _fitted(model: Any, points: Any, labels: Any) -> Any:
    """The model after ``fit``, whatever that returns."""
    model.fit(points, labels)
    return model


def _sklearn_bayes(seed: int) -> Any:
    from sklearn.naive_bayes import GaussianNB

    points, labels, _ = _clouds(seed)
    return GaussianNB(var_smoothing=0).fit(points, labels)


def _bayes_answers(method: str, within: float) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        for seed in range(3):
            points, labels, asked = _clouds(seed)
            wanted = getattr(_sklearn_bayes(seed), method)(asked)
            own = need(names, "GaussianNaiveBayes")
            run = lambda: getattr(_fitted(own(), points, labels), method)(asked)
            expect(f"{method} of 60 points, data set {seed}", run, wanted, within)

    return check


def _bayes_far(names: Names) -> None:
    points, labels, _ = _clouds()
    own = need(names, "GaussianNaiveBayes")
    run = lambda: _fitted(own(), points, labels).predict_proba(np.array([[1e3, -1e3]])).sum()
    expect("sum of the probabilities far away", run, 1.0, 1e-9)


def _bayes_inputs(names: Names) -> None:
    points, labels, _ = _clouds()
    before = points.copy()
    _fitted(need(names, "GaussianNaiveBayes")(), points, labels).predict(points)
    expect("the inputs afterwards", lambda: points, before)
    expect_error(
        "fit(points, too few labels)",
        lambda: names["GaussianNaiveBayes"]().fit(points, labels[:-1]),
    )


NAIVE_BAYES = Task(
    "PART1-S02-NAIVE-BAYES",
    "class GaussianNaiveBayes with fit(points, labels), predict(points), predict_proba(points)",
    (
        Criterion("predictions equal scikit-learn's", 3, _bayes_answers("predict", 0)),
        Criterion("probabilities equal scikit-learn's", 3, _bayes_answers("predict_proba", 1e-6)),
        Criterion("far from all data it does not divide by zero", 2, _bayes_far),
        Criterion("inputs stay as they are; unequal lengths are refused", 2, _bayes_inputs),
    ),
)

# --- S03 and S06: a class Matrix ----------------------------------------------------------------

VALUES = {
    "1×1": [[3.0]],
    "2×2": [[1.0, 2.0], [3.0, 4.0]],
    "3×3": [[2.0, -1.0, 0.0], [1.0, 3.0, 5.0], [-2.0, 4.0, 1.0]],
    "4×4 that needs rows exchanged": [
        [0.0, 2.0, 1.0, 3.0],
        [1.0, 0.0, 4.0, 1.0],
        [2.0, 1.0, 0.0, 5.0],
        [1.0, 1.0, 1.0, 0.0],
    ],
}


def _matrix(names: Names, rows: list[list[float]]) -> Any:
    return need(names, "Matrix")(rows)


def _rows(matrix: Any) -> list[list[float]]:
    height, width = matrix.shape
    return [[float(matrix[i, j]) for j in range(width)] for i in range(height)]


def _matrix_basics(names: Names) -> None:
    a = _matrix(names, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    expect("Matrix([[1, 2, 3], [4, 5, 6]]).shape", lambda: tuple(a.shape), (2, 3))
    expect("its element [1, 2]", lambda: a[1, 2], 6.0)
    a[0, 1] = 7.0
    expect("element [0, 1] after a[0, 1] = 7", lambda: a[0, 1], 7.0)
    expect("its sum", lambda: a.sum(), 26.0)
    expect("its transpose", lambda: _rows(a.transpose()), [[1, 4], [7, 5], [3, 6]])


def _matrix_arithmetic(names: Names) -> None:
    a, b = (_matrix(names, VALUES["2×2"]) for _ in range(2))
    expect("A + A", lambda: _rows(a + b), [[2, 4], [6, 8]])
    expect("A - 2 A", lambda: _rows(a - b * 2), [[-1, -2], [-3, -4]])
    expect("A * A, the matrix product", lambda: _rows(a * b), [[7, 10], [15, 22]])
    expect("A ** 2, element by element", lambda: _rows(a**2), [[1, 4], [9, 16]])
    wide = _matrix(names, [[1.0, 2.0, 3.0]])
    expect("(1×3) * (3×1)", lambda: _rows(wide * wide.transpose()), [[14]])
    expect("A afterwards", lambda: _rows(a), VALUES["2×2"])


def _matrix_det(names: Names) -> None:
    for name, rows in VALUES.items():
        expect(
            f"det of {name} {rows}", lambda: _matrix(names, rows).det(), np.linalg.det(rows), 1e-9
        )
    expect("det of [[1, 2], [2, 4]]", lambda: _matrix(names, [[1.0, 2.0], [2.0, 4.0]]).det(), 0.0)


def _matrix_inverse(names: Names) -> None:
    for name, rows in VALUES.items():
        own = _matrix(names, rows)
        expect(f"inverse of {name}", lambda: _rows(own.inverse()), np.linalg.inv(rows), 1e-9)
        expect(f"{name} after inverse()", lambda: _rows(own), rows)


def _matrix_random(names: Names) -> None:
    rng = np.random.default_rng(0)
    for size in (2, 3, 4, 5, 6, 8):
        rows = rng.normal(size=(size, size))
        own = _matrix(names, rows.tolist())
        expect(f"det of a random {size}×{size}", lambda: own.det(), np.linalg.det(rows), 1e-8)
        expect(
            f"A · A⁻¹ of a random {size}×{size}",
            lambda: _rows(own * own.inverse()),
            np.eye(size),
            1e-7,
        )


def _matrix_fields(names: Names) -> None:
    fields = {"nrows": 2, "ncols": 3, "data": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    made = lambda: need(names, "Matrix").from_dict(fields)
    expect("from_dict of a 2×3", lambda: _rows(made()), [[1, 2, 3], [4, 5, 6]])
    expect("to_dict of it", lambda: made().to_dict(), fields)
    expect("eval(repr(matrix))", lambda: _rows(eval(repr(made()), dict(names))), _rows(made()))
    expect_true(
        "str(matrix)", lambda: len(str(made()).splitlines()) == 2, "not a line for each row"
    )


def _matrix_errors(names: Names) -> None:
    a, wide = _matrix(names, VALUES["2×2"]), _matrix(names, [[1.0, 2.0, 3.0]])
    expect_error("2×2 + 1×3", lambda: a + wide)
    expect_error("2×2 * 1×3", lambda: a * wide)
    expect_error("det of 1×3", lambda: wide.det())
    singular = _matrix(names, [[1.0, 2.0], [2.0, 4.0]])
    expect_error("inverse of [[1, 2], [2, 4]]", singular.inverse, ValueError, ZeroDivisionError)
    expect_error("element [2, 0] of a 2×2", lambda: a[2, 0], IndexError)
    expect_error("element ['a', 0]", lambda: a["a", 0], TypeError, IndexError)
    for rows in ([], [[]], [[1.0, 2.0], [3.0]]):
        expect_error(f"Matrix({rows})", lambda rows=rows: _matrix(names, rows))


_MATRIX = (
    Criterion("shape, elements, sum, transpose", 2, _matrix_basics),
    Criterion("sum, difference, products and powers", 3, _matrix_arithmetic),
    Criterion("determinants", 3, _matrix_det),
    Criterion("inverses, and the matrix stays as it was", 3, _matrix_inverse),
    Criterion("random matrices, as NumPy has them", 3, _matrix_random),
    Criterion("dictionaries, repr and str", 2, _matrix_fields),
    Criterion("errors instead of zeros, printed words or nothing", 4, _matrix_errors),
)
MATRIX = Task(
    "PART1-S03-MATRIX",
    "class Matrix(rows): + - * ** [i, j] shape sum() transpose() det() inverse() from_dict to_dict",
    _MATRIX,
)


def _documented(names: Names) -> None:
    tree = ast.parse(Path(names["__file__"]).read_text("utf-8"))
    for node in ast.walk(tree):
        public = isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_"
        if public and not ast.get_docstring(node):
            raise Failed(f"line {node.lineno}: {node.name} has no docstring")


def _clean(names: Names) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet"]
    chosen = ["--select", "E,F,W,I,B,UP,SIM", "--line-length", "100", "--output-format", "concise"]
    run = subprocess.run([*command, *chosen, names["__file__"]], capture_output=True, text=True)
    if run.returncode:
        raise Failed(Path(run.stdout.splitlines()[0]).name if run.stdout else run.stderr[:120])


def _no_numpy(names: Names) -> None:
    source = Path(names["__file__"]).read_text("utf-8")
    if re.search(r"^\s*(import|from)\s+(numpy|scipy|torch|sympy)", source, re.M):
        raise Failed("it imports a library of matrices")


MODULE = Task(
    "PART1-S06-MODULE",
    "matrix.py: the class Matrix as a module, in plain Python, documented, without lint",
    (
        *_MATRIX,
        Criterion("no library of matrices", 1, _no_numpy),
        Criterion("every public name has a docstring", 2, _documented),
        Criterion("ruff finds nothing", 2, _clean),
    ),
)

# --- S04: nearest neighbours --------------------------------------------------------------------


def _points(seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    centres, labels = rng.normal(0, 3, (4, 3)), rng.integers(0, 4, 120)
    return centres[labels] + rng.normal(size=(120, 3)), labels, rng.normal(0, 3, (40, 3))


def _sklearn_knn(points: Any, labels: Any, **options: Any) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(algorithm="brute", **options).fit(points, labels)


def _knn(method: str, **options: Any) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        own = need(names, "KnnBruteClassifier")
        for k in (1, 5, 10):
            points, labels, asked = _points(k)
            wanted = getattr(_sklearn_knn(points, labels, n_neighbors=k, **options), method)(asked)
            shown = ", ".join(f"{name}={value}" for name, value in options.items())
            run = lambda: getattr(_fitted(own(n_neighbors=k, **options), points, labels), method)(
                asked
            )
            got, example = run, f"{method} with n_neighbors={k} {shown}".strip()
            if method == "kneighbors":
                for part, name in enumerate(("distances", "indices")):
                    expect(f"{name} of {example}", lambda: got()[part], wanted[part], 1e-6)
            else:
                expect(example, got, wanted, 1e-6)

    return check


def _inverse_square(distances: Any) -> Any:
    return 1 / (1 + distances**2)


def _knn_exact(names: Names) -> None:
    points, labels, _ = _points()
    own = _fitted(
        need(names, "KnnBruteClassifier")(n_neighbors=5, weights="distance"), points, labels
    )
    expect("predict of the training points, weights=distance", lambda: own.predict(points), labels)
    expect_true(
        "predict_proba of the training points, weights=distance",
        lambda: np.isfinite(own.predict_proba(points)).all(),
        "an exact match divides by zero",
    )


def _knn_large(names: Names) -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(20_000, 8)), rng.integers(0, 3, 20_000)
    own = _fitted(need(names, "KnnBruteClassifier")(n_neighbors=3), points, labels)
    before = _peak_megabytes()
    got = own.predict(points[:6000])
    grown = _peak_megabytes() - before
    expect_true("6,000 queries among 20,000 points", lambda: grown < 500, f"{grown:.0f} megabytes")
    wanted = _sklearn_knn(points, labels, n_neighbors=3).predict(points[:6000])
    expect("6,000 queries among 20,000 points", lambda: got, wanted)


def _peak_megabytes() -> float:
    """The most memory that this process has used so far; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _knn_bad(names: Names) -> None:
    points, labels, asked = _points()
    own = need(names, "KnnBruteClassifier")
    expect_error(
        "n_neighbors=121 of 120 points",
        lambda: _fitted(own(n_neighbors=121), points, labels).predict(asked),
    )
    expect_error(
        "n_neighbors=0", lambda: _fitted(own(n_neighbors=0), points, labels).predict(asked)
    )
    expect_error(
        "queries with 2 columns instead of 3",
        lambda: _fitted(own(), points, labels).predict(asked[:, :2]),
    )
    expect_error(
        "weights='none'", lambda: _fitted(own(weights="none"), points, labels).predict(asked)
    )
    expect_true(
        "fit(…)", lambda: hasattr(own().fit(points, labels), "predict"), "it must return self"
    )


KNN = Task(
    "PART1-S04-KNN",
    "KnnBruteClassifier(n_neighbors, weights, metric): fit predict predict_proba kneighbors",
    (
        Criterion("neighbours and distances", 2, _knn("kneighbors")),
        Criterion("predictions with equal weights", 2, _knn("predict", weights="uniform")),
        Criterion(
            "probabilities weighted by distance", 2, _knn("predict_proba", weights="distance")
        ),
        Criterion("weights from a function", 1, _knn("predict_proba", weights=_inverse_square)),
        Criterion("the metric manhattan", 1, _knn("kneighbors", metric="manhattan")),
        Criterion("the metric chebyshev", 1, _knn("kneighbors", metric="chebyshev")),
        Criterion("points that are exactly met", 2, _knn_exact),
        Criterion("many queries in bounded memory and time", 3, _knn_large),
        Criterion("bad input is refused with ValueError; fit returns self", 2, _knn_bad),
    ),
)

# --- S05: metrics, and tables without loops -----------------------------------------------------

NAMES = ("acc", "tpr", "fpr", "tnr", "fnr", "prec", "rec", "f1")


def _counts(truth: Any, predicted: Any) -> dict[str, float]:
    """The eight numbers from the four counts; 0 where nothing can be divided."""
    pairs = list(zip(truth, predicted, strict=True))
    tp, fp, fn, tn = (pairs.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0)))
    over = lambda a, b: a / b if b else 0.0
    rates = (
        over(tp + tn, tp + tn + fp + fn),
        over(tp, tp + fn),
        over(fp, fp + tn),
        over(tn, fp + tn),
    )
    more = (over(fn, tp + fn), over(tp, tp + fp), over(tp, tp + fn), over(2 * tp, 2 * tp + fp + fn))
    return dict(zip(NAMES, (*rates, *more), strict=True))


def _metrics_of(names: Names, truth: Any, predicted: Any, shown: str, wanted: Any) -> None:
    got = lambda: need(names, "binary_metrics")(np.array(truth), np.array(predicted))
    for name in NAMES:
        expect(f"{name} of {shown}", lambda: got()[name], wanted[name])


def _metrics_task(names: Names) -> None:
    truth, predicted = [1, 1, 1, 1, -1], [1, 1, 1, -1, 1]
    wanted = dict(zip(NAMES, (0.6, 0.75, 1, 0, 0.25, 0.75, 0.75, 0.75), strict=True))
    _metrics_of(names, truth, predicted, f"{truth} and {predicted}", wanted)


def _metrics_random(names: Names) -> None:
    rng = np.random.default_rng(0)
    for low in (0, -1):
        truth, predicted = rng.integers(0, 2, (2, 40))
        convert = lambda labels, low=low: np.where(labels == 1, 1, low)
        _metrics_of(
            names,
            convert(truth),
            convert(predicted),
            f"40 labels {low} and 1",
            _counts(truth, predicted),
        )


def _metrics_zero(names: Names) -> None:
    for truth, predicted in (
        ([0, 0], [0, 0]),
        ([0, 0], [1, 1]),
        ([1, 1], [0, 0]),
        ([1, 1], [1, 1]),
    ):
        _metrics_of(names, truth, predicted, f"{truth} and {predicted}", _counts(truth, predicted))


def _metrics_bad(names: Names) -> None:
    own = need(names, "binary_metrics")
    for truth, predicted in (([0, 1], [-1, 1]), ([0, 1, 2], [0, 1, 1]), ([0, 1], [1]), ([], [])):
        expect_error(
            f"binary_metrics({truth}, {predicted})",
            lambda t=truth, p=predicted: own(np.array(t), np.array(p)),
        )


METRICS = Task(
    "PART1-S05-METRICS",
    "binary_metrics(truth, predicted): a dictionary of acc tpr fpr tnr fnr prec rec f1",
    (
        Criterion("the sample of the task", 2, _metrics_task),
        Criterion("labels 0 and 1, labels -1 and 1", 3, _metrics_random),
        Criterion("0 where nothing can be divided", 3, _metrics_zero),
        Criterion(
            "mixed labels, other labels, other lengths, nothing: ValueError", 2, _metrics_bad
        ),
    ),
)


def _some_tracks() -> Any:
    """Three good tracks, one with gaps, one short, one static, the vehicle AV and the AGENT."""
    import pandas as pd

    rows = []
    for name, kind, points, speed in (
        *(("c", "OTHERS", 20, 1.0), ("a", "OTHERS", 15, 0.5), ("av", "AV", 20, 1.0)),
        *(("agent", "AGENT", 20, 1.0), ("short", "OTHERS", 10, 1.0), ("eleven", "OTHERS", 11, 1.0)),
        *(("static", "OTHERS", 20, 0.05), ("gap", "OTHERS", 12, 1.0)),
    ):
        rows += [(float(t), name, kind, speed * t, -speed * t, "PIT") for t in range(points)]
    table = pd.DataFrame(
        rows, columns=["TIMESTAMP", "TRACK_ID", "OBJECT_TYPE", "X", "Y", "CITY_NAME"]
    )
    table.loc[(table.TRACK_ID == "gap") & (table.TIMESTAMP >= 10), "X"] = np.nan
    return table.sample(frac=1, random_state=0)


def _cleaned(names: Names) -> Any:
    return need(names, "clean")(_some_tracks())


def _kept(names: Names) -> None:
    expect(
        "tracks that are left",
        lambda: sorted(_cleaned(names).TRACK_ID.unique()),
        ["a", "c", "eleven"],
    )


def _all_rows(names: Names) -> None:
    expect("rows that are left", lambda: len(_cleaned(names)), 20 + 15 + 11)
    expect_true(
        "clean(table)", lambda: not _cleaned(names).isna().any().any(), "numbers are missing"
    )


def _sorted_rows(names: Names) -> None:
    order = lambda: _cleaned(names)[["TRACK_ID", "TIMESTAMP"]].to_numpy().tolist()
    expect_true("clean(table)", lambda: order() == sorted(order()), "not sorted by track and time")


def _order_of_steps(names: Names) -> None:
    table = _some_tracks()
    before = table.copy()
    _ = need(names, "clean")(table)
    expect_true(
        "clean(table)", lambda: table.equals(before), "it changes the table that it was given"
    )
    expect_error(
        "clean(table without X)",
        lambda: names["clean"](table.drop(columns="X")),
        ValueError,
        KeyError,
    )


def _no_loops(names: Names) -> None:
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for node in ast.walk(ast.parse(Path(names["__file__"]).read_text("utf-8"))):
        slow = isinstance(node, ast.Attribute) and node.attr in (
            "iterrows",
            "itertuples",
            "apply",
            "map",
        )
        if isinstance(node, loops) or slow:
            raise Failed(
                f"line {node.lineno}: a loop ({getattr(node, 'attr', type(node).__name__)})"
            )


CLEAN = Task(
    "PART1-S05-TRACKS",
    "clean(table): without gaps, AV and AGENT, tracks of ≤ 10 points, static tracks",
    (
        Criterion("the right tracks are left", 3, _kept),
        Criterion("with all their rows", 2, _all_rows),
        Criterion("sorted by track and time", 1, _sorted_rows),
        Criterion("the table itself stays; a missing column is refused", 2, _order_of_steps),
        Criterion("pandas only: no loop", 2, _no_loops),
    ),
)

# --- S06: a support vector machine by hand ------------------------------------------------------


def _coefficients(names: Names) -> None:
    expect("quadratic()", lambda: tuple(need(names, "quadratic")()), (2, -100, 1249), 1e-6)


def _margins(names: Names) -> None:
    c2, c1, c0 = (float(c) for c in need(names, "quadratic")())
    for x, wanted in ((24, 1), (25, -1), (26, 1)):
        expect(f"f({x})", lambda: c2 * x * x + c1 * x + c0, wanted, 1e-6)


def _dual(names: Names) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    points = rng.normal(size=(14, 2)) * 0.4
    labels = np.where(np.arange(14) % 2, 1.0, -1.0)
    points[:, 0] += 1.2 * labels
    kernel = lambda a, b: (a @ b.T + 1) ** 2
    own = need(names, "solve_dual")
    wanted = SVC(C=1e6, kernel=kernel, tol=1e-9).fit(points, labels).decision_function(points)
    alpha, bias = own(kernel(points, points), labels)
    expect(
        "f of 14 points",
        lambda: (np.asarray(alpha) * labels) @ kernel(points, points) + bias,
        wanted,
        1e-3,
    )
    expect("Σ α y", lambda: float(np.asarray(alpha) @ labels), 0.0, 1e-6)


SVM = Task(
    "PART1-S06-SVM",
    "quadratic(): c2, c1, c0 for 24, 26 (+1) and 25 (-1); solve_dual(gram, labels): α, b",
    (
        Criterion("the coefficients", 3, _coefficients),
        Criterion("margins of exactly ±1", 3, _margins),
        Criterion("any kernel, as scikit-learn has it", 4, _dual),
    ),
)

# --- S07: generators ----------------------------------------------------------------------------


def _lines(tracks: dict[str, list[float]], step: float = 0.1) -> list[str]:
    """Lines of a CSV file of tracks with these speeds in m/s between their points, by time."""
    rows = []
    for name, speeds in tracks.items():
        x = 0.0
        for number, speed in enumerate([0.0, *speeds]):
            x += speed * step
            rows.append(
                (
                    100 + number * step,
                    f'{100 + number * step:.1f},{name},OTHERS,{x!r},0.0,"PIT, PA"',
                )
            )
    return ["TIMESTAMP,TRACK_ID,OBJECT_TYPE,X,Y,CITY_NAME", *(line for _, line in sorted(rows))]


FAST = {
    "slow": [10.0] * 20,
    "fast": [12.0] * 10,
    "too short": [12.0] * 9,
    "with a break": [12.0] * 7 + [2.0] + [12.0] * 7,
    "late": [1.0] * 9 + [15.0] * 12,
    "alone": [],
}


def _fast(names: Names) -> None:
    own = need(names, "fast_tracks")
    expect("fast tracks of six", lambda: sorted(own(_lines(FAST))), ["fast", "late"])


def _fast_limits(names: Names) -> None:
    own = need(names, "fast_tracks")
    expect("at 30 km/h", lambda: sorted(own(_lines(FAST), 30)), ["fast", "late", "slow"])
    expect(
        "for 0.6 s",
        lambda: sorted(own(_lines(FAST), 40, 0.6)),
        ["fast", "late", "too short", "with a break"],
    )
    expect("nothing but a header", lambda: list(own(_lines({}))), [])


def _lazy(names: Names) -> None:
    import types

    own = need(names, "fast_tracks")
    expect_true(
        "fast_tracks(lines)",
        lambda: isinstance(own(iter(_lines(FAST))), types.GeneratorType),
        "it is no generator",
    )

    def endless() -> Any:
        yield from _lines({"fast": [12.0] * 30})
        raise Failed("fast_tracks reads to the end before it names the first track")

    expect("the first track, from a file that goes on", lambda: next(own(endless())), "fast")


def _standard(names: Names) -> None:
    for node in ast.walk(ast.parse(Path(names["__file__"]).read_text("utf-8"))):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if module.split(".")[0] not in (
                "csv",
                "itertools",
                "collections",
                "functools",
                "operator",
                "typing",
            ):
                raise Failed(f"line {node.lineno}: it imports {module}")


SPEED = Task(
    "PART1-S07-SPEED",
    "fast_tracks(lines, kmh=40, seconds=1): yields ids of tracks that are faster for so long",
    (
        Criterion("fast for long enough, without a break", 4, _fast),
        Criterion("other limits, an empty file", 2, _fast_limits),
        Criterion("a generator that reads no more than it needs", 2, _lazy),
        Criterion("standard library only: no pandas, NumPy or math", 2, _standard),
    ),
)

# --- S08: a picture of a scene ------------------------------------------------------------------


def _scene(tracks: int) -> Any:
    import pandas as pd

    rows = [
        (t / 10, f"0000-{n:04}", "AV" if n == 0 else "OTHERS", n + t / 10, n - t / 20, "PIT")
        for n in range(tracks)
        for t in range(12)
    ]
    return pd.DataFrame(
        rows, columns=["TIMESTAMP", "TRACK_ID", "OBJECT_TYPE", "X", "Y", "CITY_NAME"]
    )


def _drawn(names: Names, tracks: int) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    try:
        need(names, "plot_scene")(_scene(tracks), ax)
    except Failed:
        raise
    except Exception as error:
        raise Failed(f"plot_scene of {tracks} tracks raises {error!r:.120}") from error
    return ax


def _all_tracks(names: Names) -> None:
    for tracks in (1, 16, 60):
        ax = _drawn(names, tracks)
        expect(f"lines in the picture of {tracks} tracks", lambda: len(ax.lines), tracks)


def _right_lines(names: Names) -> None:
    ax, table = _drawn(names, 3), _scene(3)
    wanted = sorted(float(x) for x in table.groupby("TRACK_ID").X.max())
    expect(
        "the largest x of each line",
        lambda: sorted(max(line.get_xdata()) for line in ax.lines),
        wanted,
    )


def _told_apart(names: Names) -> None:
    from matplotlib.colors import to_hex

    looks = {
        (to_hex(line.get_color()), line.get_linestyle(), str(line.get_marker()))
        for line in _drawn(names, 60).lines
    }
    expect("different looks of 60 lines", lambda: len(looks), 60)


def _labelled(names: Names) -> None:
    ax = _drawn(names, 16)
    for what, text in (("x", ax.get_xlabel()), ("y", ax.get_ylabel()), ("title", ax.get_title())):
        expect_true(f"the {what} label", lambda text=text: text.strip(), "it is empty")
    expect_true("the x label", lambda: "m" in ax.get_xlabel(), "it names no unit")
    legend = ax.get_legend() or next(iter(ax.figure.legends), None)
    expect_true("the legend", lambda: legend is not None, "there is none")
    texts = [text.get_text() for text in legend.get_texts()]
    expect_true(
        "the legend", lambda: any("AV" in text for text in texts), "it does not name OBJECT_TYPE"
    )
    expect_true(
        "a scene in metres",
        lambda: ax.get_aspect() in ("equal", 1.0),
        "x and y have different scales",
    )


SCENE = Task(
    "PART1-S08-SCENE",
    "plot_scene(table, ax): a line a track, labels with units, a legend of short ids and kinds",
    (
        Criterion("any number of tracks, one line each", 3, _all_tracks),
        Criterion("each line follows its track", 2, _right_lines),
        Criterion("60 tracks can be told apart", 2, _told_apart),
        Criterion("labels, legend, equal scales", 3, _labelled),
    ),
)

TASKS = (SPLIT, BAYES, NAIVE_BAYES, MATRIX, KNN, METRICS, CLEAN, SVM, MODULE, SPEED, SCENE)
