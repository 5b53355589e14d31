"""History: what happened in a training, one row an epoch."""

from dataclasses import dataclass, field


@dataclass
class History:
    """The one record of a training: what ``fit`` returns, ``record`` stores and ``curves`` draws.

    ``history.append(epoch=1, loss=0.7, validation_accuracy=0.9)`` adds a row;
    ``history["loss"]`` is that column, one float a row; ``history.columns`` are the names.
    """

    rows: list[dict[str, float]] = field(default_factory=list)

    def append(self, **values: float) -> None:
        """Add one row; every row has the same names. Raises ValueError otherwise."""
        if self.rows and set(values) != set(self.columns):
            raise ValueError(f"this history has {self.columns}; the new row has {sorted(values)}.")
        self.rows.append({name: float(value) for name, value in values.items()})

    @property
    def columns(self) -> list[str]:
        return list(self.rows[0]) if self.rows else []

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; this history has {self.columns}.")
        return [row[name] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)
