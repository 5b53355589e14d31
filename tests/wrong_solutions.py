"""Typical wrong solutions: a worked solution with one change, and the criteria that it must lose.

The archive's own faults are among them. A change is (old, new) text of the solution; ``ALONE``
marks a file of its own.
"""

from typing import NamedTuple


class Wrong(NamedTuple):
    """What was done wrong, how, and the beginnings of the criteria that must not be met."""

    what: str
    changes: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]


def wrong(what: str, old: str, new: str, *lost: str) -> Wrong:
    return Wrong(what, ((old, new),), lost)


WRONG = {
    "PART1-S01-SPLIT": (
        wrong(
            "cut in order",
            ".permutation(len(table))",
            ".permutation(1); order = np.arange(len(table))",
            "every row",
        ),
        wrong("another cut each time", "default_rng(seed)", "default_rng()", "asked again"),
        wrong("any share", "if not 0 < share < 1:", "if False:", "a share outside"),
    ),
    "PART1-S02-BAYES": (
        wrong(
            "hard-coded",
            "return max(0.0, 1 - sqrt(under_root)), max(0.0, 1 + sqrt(under_root))",
            "return 0.0, 2.165910593024557",
            "decisions",
            "average risks",
        ),
        wrong("x < 0 forgotten", "1 if x < 0 or low", "1 if low", "decisions"),
        wrong(
            "losses exchanged",
            "ratio = loss_minus * prior / (loss_plus * (1 - prior))",
            "ratio = loss_plus * prior / (loss_minus * (1 - prior))",
            "decisions",
        ),
    ),
    "PART1-S02-NAIVE-BAYES": (
        wrong("sample variance", "group.var(axis=0)", "group.var(axis=0, ddof=1)", "probabilities"),
        wrong(
            "no logarithms",
            "joint = np.exp(logs - logs.max(axis=1, keepdims=True))",
            "joint = np.exp(logs)",
            "far from",
        ),
        wrong(
            "priors forgotten", "return logs + np.log(self.shares)", "return logs", "probabilities"
        ),
        wrong(
            "it changes its input",
            "groups = [points",
            "points -= 1e-3; groups = [points",
            "inputs stay",
        ),
    ),
    "PART1-S03-MATRIX": (
        wrong(
            "no exchange of rows",
            "max((abs(rows[i][step]), i) for i in range(step, size))",
            "(abs(rows[step][step]), step)",
            "determinants",
            "inverses",
        ),
        wrong("sign of an exchange forgotten", "(1 if pivot == step else -1)", "1", "determinants"),
        wrong(
            "zeros for a singular matrix",
            'raise ValueError("a singular matrix has no inverse.")',
            "return self * 0",
            "errors",
        ),
        wrong(
            "product element by element",
            "[[_dot(row, column) for column in columns] for row in self._rows]",
            "[[a * b for a, b in zip(r, s)] for r, s in zip(self._rows, other.rows())]",
            "sum, difference",
        ),
    ),
    "PART1-S04-KNN": (
        wrong(
            "division by zero",
            "np.where(exact.any(axis=1, keepdims=True), exact, 1 / distances)",
            "1 / distances",
            "points that are exactly",
        ),
        wrong(
            "all distances at once",
            "1 + len(queries) * len(self.points) // cells",
            "1",
            "many queries",
        ),
        wrong(
            "fit returns text",
            "        return self\n",
            '        return "fitted"\n',
            "bad input",
        ),
        wrong(
            "neighbours not sorted",
            'order = np.take_along_axis(distances, some, axis=1).argsort(axis=1, kind="stable")',
            "order = np.arange(k)[None].repeat(len(some), 0)[:, ::-1]",
            "neighbours",
        ),
    ),
    "PART1-S05-METRICS": (
        wrong("division by zero", "float(a / b) if b else 0.0", "float(a) / float(b)", "0 where"),
        wrong(
            "labels 0 and 1 only",
            "np.asarray(truth) == 1, np.asarray(predicted) == 1",
            "np.asarray(truth).astype(bool), np.asarray(predicted).astype(bool)",
            "labels 0",
        ),
        wrong(
            "mixed labels", "if not (kinds <= {0, 1} or kinds <= {-1, 1}):", "if False:", "mixed"
        ),
    ),
    "PART1-S05-TRACKS": (
        wrong("at least ten points", '"size") > 10', '"size") >= 10', "the right tracks"),
        wrong("AGENT stays", '["AV", "AGENT"]', '["AV"]', "the right tracks"),
        wrong("gaps stay", "return table.dropna()", "return table", "the right tracks"),
        wrong(
            "a loop",
            "steps = table.pipe",
            "_ = [name for name in table.TRACK_ID]\n    steps = table.pipe",
            "pandas only",
        ),
    ),
    "PART1-S06-SVM": (
        wrong(
            "the stored answer",
            "return c2, c1 - 50 * c2, c0 - 25 * c1 + 625 * c2",
            "return 0.25, -5, 23.75",
            "the coefficients",
            "margins",
        ),
        wrong(
            "not shifted back",
            "return c2, c1 - 50 * c2, c0 - 25 * c1 + 625 * c2",
            "return c2, c1, c0",
            "the coefficients",
        ),
        wrong(
            "labels forgotten",
            "signed = gram * np.outer(labels, labels)",
            "signed = gram",
            "any kernel",
        ),
    ),
    "PART1-S06-MODULE": (
        wrong(
            "zeros for wrong shapes",
            'raise ValueError(f"shapes {self.shape} and {other.shape} differ.")',
            "return self * 0",
            "errors",
        ),
        wrong("no docstring", '        """The sum of all elements."""\n', "", "every public"),
        wrong(
            "an unused import",
            "from typing import Any",
            "import os\nfrom typing import Any",
            "ruff",
        ),
        wrong("0×n passes", "if not self._rows or not self._rows[0] or", "if", "errors"),
    ),
    "PART1-S07-SPEED": (
        wrong(
            "a list, no generator",
            "def fast_tracks(lines, kmh=40, seconds=1):",
            "def fast_tracks(*given):\n    return list(named_tracks(*given))\n\n\n"
            "def named_tracks(lines, kmh=40, seconds=1):",
            "a generator",
        ),
        wrong("a break is forgotten", "since.pop(track, None)", "pass", "fast for"),
        wrong("metres per second", "speed * 3.6 <= kmh", "speed <= kmh", "fast for"),
        wrong(
            "split by hand",
            "csv.DictReader(lines)",
            "(dict(zip(['TIMESTAMP', 'TRACK_ID', 'OBJECT_TYPE', 'X', 'Y'], line.split(',')))"
            " for line in list(lines)[1:])",
            "a generator",
        ),
    ),
    "PART1-S08-SCENE": (
        wrong(
            "a list of styles that ends",
            "islice(cycle(product(MARKERS, STYLES, colours)), count)",
            "islice(product(MARKERS[:1], STYLES[:3], colours), count)",
            "any number",
        ),
        wrong("no unit", 'xlabel="x (m)"', 'xlabel="x"', "labels"),
        wrong(
            "no legend",
            '    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), '
            'fontsize="x-small", ncols=columns)\n',
            "",
            "labels",
        ),
        wrong("one colour", '[f"C{i}" for i in range(8)]', '["C0"] * 8', "60 tracks"),
    ),
    "PART2-S01-CROP": (
        wrong(
            "rows and columns exchanged",
            "image[row : row + size, column : column + size]",
            "image[column : column + size, row : row + size]",
            "the right piece",
        ),
        wrong(
            "bytes overflow",
            "piece.mean(axis=2, dtype=np.float32) / np.float32(255)",
            "((piece[..., 0] + piece[..., 1] + piece[..., 2]) / 3 / 255).astype(np.float32)",
            "the right piece",
            "float32",
        ),
        wrong("no check", "raise ValueError", "print", "a piece that is not"),
    ),
    "PART2-S02-COSTS": (
        wrong(
            "the archive's separable layer",
            "additions = sum(count * (n if bias else n - 1) for _, count, n, bias in parts)",
            "additions = sum(count * n for _, count, n, bias in parts)",
            "operations",
            "both",
        ),
        wrong(
            "biases forgotten",
            "for weights, *_ in parts) + biases",
            "for weights, *_ in parts)",
            "parameters",
        ),
        wrong("groups ignored", "patch * c_in // groups, True", "patch * c_in, True", "operations"),
    ),
    "PART2-S02-GEOMETRY": (
        wrong(
            "typed in",
            "    for kernel, stride, padding in layers_of(text):\n"
            '        size = -(-size // stride) if padding == "SAME" '
            "else (size - kernel) // stride + 1",
            "    for _ in layers_of(text):\n        size = 125",
            "sizes of",
        ),
        wrong("SAME like VALID", '(kernel if padding == "VALID" else 1)', "kernel", "the smallest"),
        wrong(
            "strides forgotten",
            "field, step = field + (kernel - 1) * step, step * stride",
            "field = field + kernel - 1",
            "the receptive",
        ),
    ),
    "PART2-S03-CONVOLUTION": (
        wrong(
            "channels from the wrong axis",
            "return np.concatenate(sums, axis=3) + bias",
            "return (np.concatenate(sums, axis=3) + bias)[..., : kernel.shape[2]]",
            "other numbers",
        ),
        wrong(
            "same pads by one",
            "total = max(0, (-(-size // stride) - 1) * stride + width - size)",
            "total = 2",
            "same",
        ),
        wrong(
            "dilation ignored",
            "windows = windows[..., ::dilation, ::dilation]",
            "windows = windows[..., : kernel.shape[0], : kernel.shape[1]]",
            "dilation",
        ),
    ),
    "PART2-S04-NETWORK": (
        wrong(
            "no backpropagation",
            "            upstream = layer.backward(upstream)\n",
            "            pass\n",
            "gradient of the network",
            "gradients of all",
            "it learns",
        ),
        wrong(
            "softmax overflows",
            "np.exp(x - x.max(axis=1, keepdims=True))",
            "np.exp(x)",
            "ReLU, Softmax",
        ),
        wrong(
            "loss summed over the batch",
            "return -self.t / self.p / len(self.t)",
            "return -self.t / self.p",
            "gradient of the loss",
            "gradients of all",
        ),
        wrong("no Adam", "class Adam:", "class Adagrad:", "bonus: Adam"),
    ),
    "PART2-S06-DETECTION": (
        wrong(
            "flipped boxes",
            "np.column_stack([b[:, :2], b[:, :2] + b[:, 2:]])",
            "np.column_stack([b[:, :1], b[:, 1:2] - b[:, 3:], b[:, :1] + b[:, 2:3], b[:, 1:2]])",
            "overlaps",
            "all-point",
        ),
        wrong("found again and again", "overlaps[:, best] = -1", "pass", "a box is matched"),
        wrong(
            "no falling precision",
            "np.maximum.accumulate(precision[::-1])[::-1]",
            "precision",
            "all-point",
        ),
    ),
    "PART2-S08-ENTROPY": (
        wrong(
            "0 · ln 0",
            "float(-xlogy(p, p).sum())",
            "float(-(p * np.log(p)).sum())",
            "entropy, with",
        ),
        wrong(
            "logarithm to base 2",
            "return float(np.log(n))",
            "return float(np.log2(n))",
            "its maximum",
        ),
        wrong(
            "no check", 'raise ValueError(f"a distribution', 'print(f"a distribution', "what is no"
        ),
    ),
}
