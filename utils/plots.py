"""Figures in one style, each with words that say what it shows.

``show(fig)`` ends every cell that draws: it displays the picture and prints one line of alt text
an axes, readable to a blind reader and compared by the tests on any machine.
"""

import base64
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from utils.history import History

if TYPE_CHECKING:  # plotly is heavy, and only its figures know it
    import plotly.graph_objects

# Okabe and Ito (2008): eight colours that people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SIZE = (6.0, 3.6)  # inches; the same everywhere
MAX_TEXTS = 12  # more texts than this inside one axes are counted, not quoted


def style() -> None:
    """The house style, for all figures of this session."""
    plt.rcParams.update(
        {
            "figure.figsize": SIZE,
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e5e5e5",
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "image.cmap": "cividis",
            "svg.hashsalt": "course",
        }
    )


def show(fig: Figure) -> None:
    """Display a figure and print its alt text, one line an axes; then close the figure."""
    from IPython.display import display

    lines = [f"[plot {i}] {describe(ax)}" for i, ax in enumerate(fig.axes, 1)]
    words = "\n".join([f"[plot] {fig.get_suptitle()}", *lines] if fig.get_suptitle() else lines)
    picture = io.BytesIO()
    fig.savefig(picture, format="png", bbox_inches=None)  # a fixed number of pixels
    plt.close(fig)
    encoded = base64.b64encode(picture.getvalue()).decode()
    bundle = {"image/png": encoded, "text/plain": "(figure)"}
    display(bundle, metadata={"image/png": {"alt": words}}, raw=True)
    print(words)


def show_interactive(fig: "plotly.graph_objects.Figure") -> None:
    """Display a plotly figure where the reader can move it; its static twin is what is tested.

    JupyterLab draws the stored description itself, offline; Colab needs plotly's own way.
    """
    from IPython.display import display

    if "google.colab" in sys.modules:
        fig.show()
        return
    description = {k: v for k, v in fig.to_plotly_json().items() if k in ("data", "layout")}
    display(
        {"application/vnd.plotly.v1+json": description, "text/plain": "(interactive figure)"},
        raw=True,
    )


def number(value: float) -> str:
    """Three significant digits or more, always with a point: ``0.500``, ``12.3``, ``123.4``."""
    if not np.isfinite(value):
        return str(float(value))
    if 100 <= abs(value) < 1e6:
        return f"{value:.1f}"
    return f"{value:#.3g}"


def describe(ax: Axes) -> str:
    """What an axes shows, in words and numbers: its labels, and each thing drawn on it."""
    title = " ".join(ax.get_title(loc=side) for side in ("left", "center", "right")).strip()
    parts = [part for part in (title, _labels(ax)) if part]
    parts += [_line(line) for line in ax.lines]
    parts += [_collection(collection) for collection in ax.collections]
    parts += [_bars(bars) for bars in ax.containers if isinstance(bars, BarContainer)]
    in_bars = {bar for container in ax.containers for bar in container.get_children()}
    shapes = sum(patch not in in_bars for patch in ax.patches)
    parts += [f"{shapes} shapes"] if shapes else []
    parts += [_image(image) for image in ax.images]
    texts = [text.get_text().replace("\n", " ") for text in ax.texts if text.get_text()]
    parts += [f"“{text}”" for text in texts] if len(texts) <= MAX_TEXTS else [f"{len(texts)} texts"]
    return "; ".join(parts)


def _labels(ax: Axes) -> str:
    """“loss” against “step”; inner panels of a grid may have one label or none."""
    y, x = (f"“{label}”" if label else "" for label in (ax.get_ylabel(), ax.get_xlabel()))
    return f"{y} against {x}".strip() if x and ax.axison else y * ax.axison


def _values(values: ArrayLike) -> NDArray[np.float64]:
    """Finite values as float64, with what is only rounding noise beside the largest set to 0."""
    array = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).ravel()
    array = array[np.isfinite(array)]
    scale = np.abs(array).max(initial=0.0)
    return np.where(np.abs(array) < 1e-9 * scale, 0.0, array)


def _range(values: ArrayLike) -> str:
    array = _values(values)
    if not array.size:
        return "no finite value"
    return f"min {number(array.min())}, max {number(array.max())}"


def _named(kind: str, label: object) -> str:
    return kind if str(label).startswith("_") or not str(label) else f"{kind} “{label}”"


def _line(line) -> str:
    y = _values(line.get_ydata())
    ends = f"from {number(y[0])} to {number(y[-1])}, " if y.size else ""
    points = len(line.get_ydata())
    return f"{_named('line', line.get_label())}, {points} points, {ends}{_range(y)}"


def _collection(collection) -> str:
    name = collection.get_label()
    if isinstance(collection, PathCollection):
        x, y = np.ma.getdata(collection.get_offsets()).reshape(-1, 2).T
        return f"{_named('marks', name)}, {len(x)}, x {_range(x)}, y {_range(y)}"
    if isinstance(collection, LineCollection):
        return f"{_named('segments', name)}, {len(collection.get_segments())}"
    vertices = [path.vertices for path in collection.get_paths() if len(path.vertices)]
    y = np.concatenate(vertices)[:, 1] if vertices else []
    return f"{_named('area', name)}, y {_range(y)}"


def _bars(container) -> str:
    upright = container.orientation != "horizontal"
    lengths = [bar.get_height() if upright else bar.get_width() for bar in container.patches]
    return f"{_named('bars', container.get_label())}, {len(lengths)}, {_range(lengths)}"


def _image(image) -> str:
    array = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    height, width = array.shape[:2]
    return f"image {height}×{width}, mean {number(np.nanmean(array))}, {_range(array)}"


def image_grid(
    images: ArrayLike, titles: Sequence[str] | None = None, *, columns: int = 10, title: str = ""
) -> Figure:
    """Images (N, H, W) or (N, H, W, 3) side by side on one axes, ``columns`` a row.

    Grey images are drawn black on white on one common scale. ``titles`` stand above the images.
    Raises ValueError for no images, another shape, or a different number of titles.
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(f"images must be (N, H, W) or (N, H, W, 3), N ≥ 1; got {images.shape}.")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(images)} images need as many titles; got {len(titles)}.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    gap = max(2, height // 8) + (height // 3 if titles is not None else 0)
    sheet = _sheet(images, rows, columns, gap)
    fig, ax = plt.subplots(figsize=(SIZE[0], SIZE[0] * sheet.shape[0] / sheet.shape[1] + 0.3))
    ax.imshow(sheet, cmap="gray_r", interpolation="nearest")
    for i, text in enumerate(titles if titles is not None else []):
        row, column = divmod(i, columns)
        x, y = column * (width + gap) + gap + width / 2, row * (height + gap) + 0.8 * gap
        ax.text(x, y, text, ha="center", va="bottom", fontsize="small")
    ax.set(title=title)
    ax.set_axis_off()
    return fig


def _sheet(images: NDArray, rows: int, columns: int, gap: int) -> NDArray:
    """One large image: a frame of ``gap`` pixels above and left of each, white between them."""
    height, width = images.shape[1:3]
    blank = np.nan if images.ndim == 3 else 1.0
    scale = 1.0 if images.ndim == 3 or images.dtype.kind == "f" else 255.0
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, *images.shape[3:])
    sheet = np.full(shape, blank)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top, left = row * (height + gap) + gap, column * (width + gap) + gap
        sheet[top : top + height, left : left + width] = image / scale
    return sheet


def curves(
    runs: Mapping[str, Sequence[History]], column: str, *, x: str = "epoch", ax: Axes | None = None
) -> Axes:
    """One line a name: the mean over its histories (seeds), and a band from lowest to highest.

    All histories of one name have the same length. Each line is labelled at its end.
    """
    ax = ax if ax is not None else plt.subplots()[1]
    for name, histories in runs.items():
        values = np.array([history[column] for history in histories])  # (seeds, epochs)
        steps = histories[0][x]
        (line,) = ax.plot(steps, values.mean(axis=0), label=name)
        if len(values) > 1:
            ax.fill_between(steps, values.min(0), values.max(0), color=line.get_color(), alpha=0.2)
        end_label(ax, line, name)
    ax.set(xlabel=x, ylabel=column.replace("_", " "))
    return ax


def end_label(ax: Axes, line: Line2D, text: str) -> None:
    """Write a line's name at its right end, in its colour: no legend to look up."""
    x, y = line.get_xdata()[-1], line.get_ydata()[-1]
    ax.annotate(
        f" {text}", (x, y), color=line.get_color(), va="center", annotation_clip=False
    ).set_in_layout(True)


def confusion(counts: ArrayLike, names: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """A confusion matrix (classes, classes), rows = true, columns = predicted, counts written in.

    Colours show each row as shares, so that rare classes are seen too.
    """
    counts = np.asarray(counts)
    names = [str(i) for i in range(len(counts))] if names is None else list(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    fig, ax = plt.subplots(figsize=(SIZE[0], 0.85 * SIZE[0]))
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = shares[row, column] > 0.5
            colour = "white" if dark else "black"
            ax.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=7)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.grid(False)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    return fig


def decision_regions(
    predict: Callable[[NDArray], NDArray],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    ax: Axes | None = None,
    steps: int = 200,
) -> Axes:
    """Colour the plane by ``predict`` (M, 2) → (M,) class numbers, and mark the points on it."""
    ax = ax if ax is not None else plt.subplots()[1]
    points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    low, high = points.min(axis=0), points.max(axis=0)
    (x0, y0), (x1, y1) = low - 0.1 * (high - low), high + 0.1 * (high - low)
    x, y = np.meshgrid(np.linspace(x0, x1, steps), np.linspace(y0, y1, steps))
    regions = predict(np.column_stack([x.ravel(), y.ravel()])).reshape(steps, steps)
    palette = plt.matplotlib.colors.ListedColormap(COLOURS)
    scale = {"cmap": palette, "vmin": 0, "vmax": len(COLOURS) - 1}
    ax.imshow(regions, extent=(x0, x1, y0, y1), origin="lower", aspect="auto", alpha=0.25, **scale)
    for label in np.unique(labels):
        chosen = points[labels == label]
        ax.scatter(*chosen.T, color=COLOURS[label], label=f"class {label}", s=18, edgecolor="white")
    ax.grid(False)
    return ax
