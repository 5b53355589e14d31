"""The stored networks, loaded once: NumPy ones at the start, PyTorch ones at their first use."""

import importlib.util
from collections.abc import Sequence
from threading import Lock, Thread
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app import networks
from app.api import ModelCard
from utils import models, nn, results


class Reader(Protocol):
    """A network that answers one question at a time."""

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, classes) of inputs (N, …)."""

    def insight(self, x: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
        """Of one image (1, 1, H, W): its first ReLU's output, and d largest logit / d x (H, W)."""


class Entry(NamedTuple):
    """A line of the menu: which lens, and which recorded number is the network's accuracy."""

    lens: str
    title: str
    library: str
    result: str
    metric: str
    measure: str


MENU = {
    "digit_mlp": Entry(
        "digit", "Dense network", "NumPy", "digit-web-app", "mlp_test_accuracy", "MNIST test"
    ),
    "small_digit_cnn": Entry(
        "digit", "Convolutions", "NumPy", "digit-web-app", "cnn_test_accuracy", "MNIST test"
    ),
    "digit_cnn": Entry(
        "digit", "Deep convolutions", "PyTorch", "cnn-digit-nets", "test_accuracy", "MNIST test"
    ),
    "pair_joint": Entry(
        "pair", "One head of 100", "NumPy", "digit-pair-app", "joint_test_accuracy", "pairs test"
    ),
    "pair_heads": Entry(
        "pair", "Two heads of ten", "NumPy", "digit-pair-app", "heads_test_accuracy", "pairs test"
    ),
    "doodle_gru": Entry(
        "doodle", "GRU, both ways", "NumPy", "doodle-gru", "test_accuracy", "Quick, Draw! test"
    ),
    "digit_generator": Entry(
        "generate", "Conditional GAN", "NumPy", "conditional-gan", "class_fidelity", "read as asked"
    ),
    "plate_reader": Entry(
        "plate", "Nine looks", "PyTorch", "plate-recogniser", "plate_accuracy", "whole plates"
    ),
}


class NumpyReader:
    """A network of ``app.networks``. Layers remember their last input, so one thread at a time."""

    def __init__(self, name: str) -> None:
        self.model = networks.stored(name)
        self._lock = Lock()

    def logits(self, *x: NDArray) -> NDArray[np.float32]:
        with self._lock:
            return self.model(*x)

    def insight(self, x: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
        with self._lock:
            logits = self.model(x)
            largest = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)]
            self.model.zero_grad()
            slope = self.model.backward(largest)
            first = next(i for i, layer in enumerate(self.model) if isinstance(layer, nn.ReLU))
            return self.model[: first + 1](x)[0], slope[0, 0]


class Shelf:
    """Networks by name. With ``numpy_only``, or without PyTorch, those of PyTorch are not there."""

    def __init__(self, *, numpy_only: bool = False) -> None:
        stored = models.index()
        numpy_only = numpy_only or importlib.util.find_spec("torch") is None
        self.names = [
            name
            for name, entry in MENU.items()
            if name in stored and not (numpy_only and entry.library == "PyTorch")
        ]
        self.milliseconds: dict[str, float] = {}
        self._lock = Lock()
        self._waking: set[str] = set()
        self._readers: dict[str, Any] = {
            name: NumpyReader(name) for name in self.names if MENU[name].library == "NumPy"
        }

    def require(self, names: Sequence[str], lens: str) -> None:
        """Raise KeyError, listing what there is, for a name that is no network of this lens."""
        known = [name for name in self.names if MENU[name].lens == lens]
        for name in names:
            if name not in known:
                raise KeyError(f"no network called {name!r} looks here; there are {known}.")

    def of(self, lens: str) -> list[str]:
        """The networks of a lens. Raises KeyError where none is stored."""
        found = [name for name in self.names if MENU[name].lens == lens]
        if not found:
            raise KeyError(f"no network for {lens!r} is at hand on this server.")
        return found

    def needs_torch(self, names: Sequence[str] | None, lens: str) -> bool:
        """Whether PyTorch answers among these networks, or (None) among all of this lens."""
        asked = [n for n in self.names if MENU[n].lens == lens] if names is None else names
        return any(MENU[name].library == "PyTorch" for name in asked if name in MENU)

    def awake(self, name: str) -> bool:
        """Whether a network is loaded; if not, it is loaded from now on, in the background."""
        if name in self._readers:
            return True
        if name not in self._waking:
            self._waking.add(name)
            Thread(target=self.reader, args=(name,), daemon=True).start()
        return False

    def reader(self, name: str) -> Any:
        """A network; PyTorch is imported when the first of its networks is asked for."""
        if name in self._readers:  # others must not wait while PyTorch is imported
            return self._readers[name]
        with self._lock:
            if name not in self._readers:
                torch_side = importlib.import_module("app.torch_side")
                self._readers[name] = torch_side.READERS[name]()
            return self._readers[name]

    def cards(self) -> list[ModelCard]:
        """The menu."""
        return [self._card(name, MENU[name]) for name in self.names]

    def _card(self, name: str, entry: Entry) -> ModelCard:
        return ModelCard(
            name=name,
            lens=entry.lens,
            title=entry.title,
            library=entry.library,
            parameters=models.index()[name]["parameters"],
            accuracy=recorded(entry.result, entry.metric),
            measure=entry.measure,
            result=entry.result,
            milliseconds=self.milliseconds.get(name),
        )


def recorded(id: str, metric: str) -> float | None:
    """The mean over seeds, rounded to 4 digits; None where it is not recorded yet."""
    try:
        return round(results.read(id).mean(metric), 4)
    except (FileNotFoundError, KeyError):
        return None
