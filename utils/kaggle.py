"""The files of Kaggle's digit-recognizer competition: read, written, and checked line by line.

``train.csv`` has the columns label, pixel0 … pixel783; ``test.csv`` the pixels alone; a submission
has ImageId, counted from 1, and Label. The competition's own files need an account; the course
writes files of the same form from MNIST, and says so.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utils.paths import atomic

SIDE = 28
PIXELS = [f"pixel{i}" for i in range(SIDE * SIDE)]
SUBMISSION = ["ImageId", "Label"]
UNREADABLE = (
    pd.errors.ParserError,
    pd.errors.ParserWarning,
    pd.errors.EmptyDataError,
    UnicodeDecodeError,
)


def write_digits(path: Path, images: NDArray[np.uint8], labels: NDArray | None = None) -> None:
    """Write images (N, 28, 28) as test.csv, or with their labels (N,) as train.csv."""
    table = pd.DataFrame(images.reshape(len(images), -1), columns=PIXELS)
    if labels is not None:
        table.insert(0, "label", labels)
    _write(path, table)


def read_train(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 28, 28) and labels (N,) of a train.csv. Raises ValueError as ``read_test``."""
    table = _read(path, ["label", *PIXELS])
    labels = _whole_numbers(path, table[["label"]], 9)[:, 0].astype(np.int64)
    return _images(path, table), labels


def read_test(path: Path) -> NDArray[np.uint8]:
    """Images (N, 28, 28) of a test.csv.

    Raises ValueError, naming the file and what is wrong, for missing or additional columns, no
    rows, and values that are no whole numbers in their range.
    """
    return _images(path, _read(path, PIXELS))


def write_submission(path: Path, labels: NDArray[np.int64]) -> None:
    """Write predicted labels (N,) as a submission, one row for each image of test.csv in order."""
    _write(path, pd.DataFrame({"ImageId": np.arange(1, len(labels) + 1), "Label": labels}))


def read_submission(path: Path, rows: int) -> NDArray[np.int64]:
    """Labels (rows,) of a submission that the competition would accept.

    Raises ValueError as ``read_test``, and for another number of rows or other ids than 1 … rows.
    """
    table = _read(path, SUBMISSION)
    if len(table) != rows:
        raise ValueError(f"{path.name} has {len(table)} rows; the test set has {rows} images.")
    ids = _whole_numbers(path, table[["ImageId"]], rows)[:, 0]
    if not np.array_equal(ids, np.arange(1, rows + 1)):
        raise ValueError(f"{path.name}: ImageId must count from 1 to {rows}, in order.")
    return _whole_numbers(path, table[["Label"]], 9)[:, 0].astype(np.int64)


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    """The table of a CSV file that has exactly these columns and at least one row."""
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(path, index_col=False)  # a longer row would only be warned of
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is no CSV file: {str(error).strip()}.") from error
    lost = [name for name in columns if name not in table.columns]
    added = [str(name) for name in table.columns if name not in columns]
    if lost or added:
        what = [f"lacks {_some(lost)}"] * bool(lost) + [f"has also {_some(added)}"] * bool(added)
        raise ValueError(f"{path.name} {' and '.join(what)}; it needs {_some(columns)}.")
    if table.empty:
        raise ValueError(f"{path.name} has no rows below its header.")
    return table[columns]


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]} ({len(names)})"


def _images(path: Path, table: pd.DataFrame) -> NDArray[np.uint8]:
    values = _whole_numbers(path, table[PIXELS], 255)
    return values.astype(np.uint8).reshape(-1, SIDE, SIDE)


def _whole_numbers(path: Path, table: pd.DataFrame, most: int) -> NDArray:
    """The values of a table, once they are whole numbers from 0 to ``most``."""
    numbers = table.apply(pd.to_numeric, errors="coerce") if _has_text(table) else table
    values = numbers.to_numpy()
    wrong = ~((values >= 0) & (values <= most) & (values == np.floor(values)))  # also for NaN
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{path.name}, row {row + 1}, {table.columns[column]}: {table.iat[row, column]!r} is "
            f"no whole number from 0 to {most}."
        )
    return values


def _has_text(table: pd.DataFrame) -> bool:
    return not all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)
