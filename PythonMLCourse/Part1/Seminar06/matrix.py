"""A class for small dense matrices of numbers, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Rows = list[list[float]]


class Matrix:
    """A matrix of ``rows``, lists of equally many numbers. Raises ValueError for anything else."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self._rows: Rows = [list(row) for row in rows]
        if not self._rows or not self._rows[0] or len({len(row) for row in self._rows}) > 1:
            raise ValueError("a matrix needs at least one row and column, and rows of one length.")

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Matrix:
        """From {"nrows": …, "ncols": …, "data": numbers row by row}."""
        height, width, data = fields["nrows"], fields["ncols"], fields["data"]
        if height < 1 or width < 1 or len(data) != height * width:
            raise ValueError(f"{len(data)} numbers do not fill {height} rows of {width}.")
        return cls([data[start : start + width] for start in range(0, len(data), width)])

    @classmethod
    def identity(cls, size: int) -> Matrix:
        """Ones on the diagonal, zeros elsewhere."""
        return cls([[float(i == j) for j in range(size)] for i in range(size)])

    def to_dict(self) -> dict[str, Any]:
        """What ``from_dict`` reads."""
        height, width = self.shape
        return {"nrows": height, "ncols": width, "data": [x for row in self._rows for x in row]}

    def rows(self) -> Rows:
        """A copy of the rows, as lists."""
        return [list(row) for row in self._rows]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns."""
        return len(self._rows), len(self._rows[0])

    def __getitem__(self, place: tuple[int, int]) -> float:
        row, column = self._checked(place)
        return self._rows[row][column]

    def __setitem__(self, place: tuple[int, int], value: float) -> None:
        row, column = self._checked(place)
        self._rows[row][column] = value

    def _checked(self, place: tuple[int, int]) -> tuple[int, int]:
        row, column = place
        if not isinstance(row, int) or not isinstance(column, int):
            raise TypeError(f"a place is two whole numbers; got {place!r}.")
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise IndexError(f"{place} is outside of {self.shape[0]}×{self.shape[1]}.")
        return row, column

    def __repr__(self) -> str:
        return f"Matrix({self._rows!r})"

    def __str__(self) -> str:
        return "\n".join(" ".join(f"{x:10.4g}" for x in row) for row in self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matrix) and self._rows == other.rows()

    __hash__ = None  # elements may change

    def _with(self, other: Matrix, rule: Callable[[float, float], float]) -> Matrix:
        if self.shape != other.shape:
            raise ValueError(f"shapes {self.shape} and {other.shape} differ.")
        pairs = zip(self._rows, other.rows(), strict=True)
        return Matrix([[rule(a, b) for a, b in zip(p, q, strict=True)] for p, q in pairs])

    def __add__(self, other: Matrix) -> Matrix:
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other: Matrix) -> Matrix:
        return self._with(other, lambda a, b: a - b)

    def __mul__(self, other: Matrix | float) -> Matrix:
        """The matrix product, or every element times a number."""
        if not isinstance(other, Matrix):
            return Matrix([[x * other for x in row] for row in self._rows])
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"{self.shape} times {other.shape}: the inner numbers differ.")
        columns = list(zip(*other.rows(), strict=True))
        return Matrix([[_dot(row, column) for column in columns] for row in self._rows])

    __rmul__ = __mul__

    def __pow__(self, exponent: float) -> Matrix:
        """Every element to a power."""
        return Matrix([[x**exponent for x in row] for row in self._rows])

    def sum(self) -> float:
        """The sum of all elements."""
        return sum(map(sum, self._rows))

    def transpose(self) -> Matrix:
        """Rows become columns."""
        return Matrix([list(column) for column in zip(*self._rows, strict=True)])

    def det(self) -> float:
        """The determinant: the product of the pivots, with a sign for each exchange of rows."""
        _, determinant = self._eliminated([[] for _ in self._rows])
        return determinant

    def inverse(self) -> Matrix:
        """The inverse, by elimination. Raises ValueError for a singular matrix."""
        solved, determinant = self._eliminated(Matrix.identity(self.shape[0]).rows())
        if determinant == 0:
            raise ValueError("a singular matrix has no inverse.")
        return Matrix(solved)

    def _eliminated(self, right: Rows) -> tuple[Rows, float]:
        """Gauss-Jordan with the largest pivot: (A⁻¹ · right, det A); det 0 if a pivot is."""
        size = self.shape[0]
        if size != self.shape[1]:
            raise ValueError(f"{size}×{self.shape[1]} is not square.")
        rows = [row + extra for row, extra in zip(self._rows, right, strict=True)]
        largest, determinant = max(abs(x) for row in self._rows for x in row), 1.0
        for step in range(size):
            width, pivot = max((abs(rows[i][step]), i) for i in range(step, size))
            if width <= 1e-14 * largest:
                return [], 0.0
            rows[step], rows[pivot] = rows[pivot], rows[step]
            determinant *= rows[step][step] * (1 if pivot == step else -1)
            rows = [_without(row, rows[step], step, i == step) for i, row in enumerate(rows)]
        return [row[size:] for row in rows], determinant


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _without(row: list[float], pivot: list[float], step: int, own: bool) -> list[float]:
    """A row with 0 in column ``step``; the pivot's own row with 1 there."""
    if own:
        return [x / pivot[step] for x in pivot]
    factor = row[step] / pivot[step]
    return [x - factor * p for x, p in zip(row, pivot, strict=True)]
