"""Two judges of every layer: finite differences, and PyTorch.

Both run in float64 and with a random cotangent c: they look at the gradient of Σ c ⊙ y, so that no
error can hide behind a gradient of ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from utils.nn.module import Module

TOLERANCE = 1e-7  # largest relative error of a gradient against finite differences
STEP = 1e-5  # h: the error of central differences is about h² + 1e-16 / h
MOST = 300  # elements of one array that are checked; of a larger one, that many drawn at random


def check_gradients(module: Module, *inputs: Any, rng: np.random.Generator) -> float:
    """Compare ``backward`` with central differences, for all float inputs and all parameters.

    The module is converted to float64, in place, and so are float inputs; other inputs (indices,
    masks, None) get no gradient. Where forward returns a tuple, backward is called with one
    gradient each (None for what is no float array). Returns the largest relative error.
    """
    module.astype(np.float64)
    (rng,) = rng.spawn(1)  # the module may draw from the same one
    inputs = tuple(as_float64(x) for x in inputs)
    cotangents, gradients = run(module, inputs, rng)

    def change(array: np.ndarray, i: int) -> float:
        """d (Σ c ⊙ y) / d array[i] ≈ Σ c ⊙ (y(+h) − y(−h)) / 2h."""
        before = array.flat[i]
        ends = []
        for h in (STEP, -STEP):
            array.flat[i] = before + h
            with same_draws(module):
                ends.append([y.copy() if is_float(y) else y for y in as_tuple(module(*inputs))])
        array.flat[i] = before
        pairs = zip(cotangents, *ends, strict=True)
        return sum(np.sum(c * (up - down)) for c, up, down in pairs if c is not None) / (2 * STEP)

    arrays = {f"input {i}": x for i, x in enumerate(inputs) if is_float(x)}
    arrays |= {name: parameter.data for name, parameter in module.named_parameters()}
    errors = {}
    for name, array in arrays.items():
        places = chosen(array.size, rng)
        numeric = np.array([change(array, i) for i in places])
        errors[name] = relative_error(gradients[name].flat[places], numeric)
    worst = max(errors, key=errors.get)
    assert errors[worst] < TOLERANCE, f"{module.name}: gradient of {worst} is wrong: {errors}"
    return errors[worst]


def compare_with_torch(
    module: Module,
    reference: torch.nn.Module,
    *inputs: Any,
    rng: np.random.Generator,
    rtol: float = 1e-9,
) -> None:
    """Assert that outputs, gradients and buffers equal those of a torch module.

    The module's weights are loaded into ``reference``, so names and shapes must be torch's. Both
    are converted to float64. Inputs and outputs are as in ``check_gradients``.
    """
    module.astype(np.float64)
    reference.double().train(module.training)
    reference.zero_grad()
    module.zero_grad()
    reference.load_state_dict({k: torch.tensor(v) for k, v in module.state_dict().items()})
    assert list(module.state_dict()) == list(reference.state_dict())
    inputs = tuple(as_float64(x) for x in inputs)
    tensors = tuple(as_tensor(x) for x in inputs)
    theirs = as_tuple(reference(*tensors))
    ours = as_tuple(module(*inputs))
    cotangents = [draw_like(y, rng) for y in ours]
    for i, (y, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert_equal(y, expected, f"{module.name}: output {i}", rtol)
    returned = backward(module, cotangents)
    pairs = [(y, c) for y, c in zip(theirs, cotangents, strict=True) if c is not None]
    torch.autograd.backward([y for y, _ in pairs], [torch.tensor(c) for _, c in pairs])
    for i, (gradient, tensor) in enumerate(zip(returned, tensors, strict=False)):
        if is_float(inputs[i]):
            assert_equal(gradient, tensor.grad, f"{module.name}: gradient of input {i}", rtol)
    expected = dict(reference.named_parameters())
    for name, parameter in module.named_parameters():
        label = f"{module.name}: gradient of {name}"
        assert_equal(parameter.grad, expected[name].grad, label, rtol)
    for name, tensor in reference.state_dict().items():
        assert_equal(module.state_dict()[name], tensor, f"{module.name}: {name} afterwards", rtol)
    module.zero_grad()


def run(module: Module, inputs: tuple, rng: np.random.Generator) -> tuple[list, dict]:
    """Forward and backward, twice over: the cotangents, and the gradients by name.

    Checks on the way what every layer owes: inputs and cotangents are left alone, shapes and dtypes
    are those of the values, a second backward adds, and no two gradients share their memory.
    """
    module.zero_grad()
    before = [np.copy(x) if is_float(x) else x for x in inputs]
    with same_draws(module):
        outputs = as_tuple(module(*inputs))
    cotangents = [draw_like(y, rng) for y in outputs]
    copies = [np.copy(c) if c is not None else None for c in cotangents]
    returned = backward(module, cotangents)
    gradients = {f"input {i}": g.copy() for i, g in enumerate(returned) if is_float(inputs[i])}
    gradients |= {name: p.grad.copy() for name, p in module.named_parameters()}
    with same_draws(module):
        module(*inputs)
    returned = backward(module, cotangents)
    for name, parameter in module.named_parameters():
        assert parameter.grad.shape == parameter.data.shape, name
        assert parameter.grad.dtype == parameter.data.dtype, name
        scale = np.abs(gradients[name]).max(initial=1e-300)
        np.testing.assert_allclose(
            parameter.grad, 2 * gradients[name], rtol=1e-9, atol=1e-9 * scale, err_msg=name
        )
    for x, copy in zip([*inputs, *cotangents], [*before, *copies], strict=True):
        if is_float(x):
            np.testing.assert_array_equal(x, copy, f"{module.name} changed its input")
    assert_own_memory([p.grad for p in module.parameters()], [*inputs, *cotangents, *returned])
    module.zero_grad()
    return cotangents, gradients


def assert_own_memory(gradients: list, others: list) -> None:
    """A parameter adds to its gradient in place, so nobody else may hold that array."""
    for i, gradient in enumerate(gradients):
        for other in [*gradients[:i], *(x for x in others if is_float(x))]:
            assert not np.shares_memory(gradient, other), "a parameter's gradient is shared"


def backward(module: Module, cotangents: list) -> tuple:
    """The gradients of all inputs."""
    return as_tuple(module.backward(*cotangents))


@contextmanager
def same_draws(module: Module) -> Iterator[None]:
    """Give back, afterwards, every random generator inside the module as it was before."""
    generators = [m.rng for m in module.modules() if isinstance(m.__dict__.get("rng"), Generator)]
    states = [generator.bit_generator.state for generator in generators]
    yield
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state


Generator = np.random.Generator


def relative_error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    """max |a − n| / max(|a|, |n|); below 1e-3 a gradient is judged by its absolute error."""
    scale = max(np.abs(analytic).max(initial=0), np.abs(numeric).max(initial=0), 1e-3)
    return float(np.abs(analytic - numeric).max(initial=0) / scale)


def chosen(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(size) if size <= MOST else rng.choice(size, MOST, replace=False)


def assert_equal(ours: Any, theirs: Any, label: str, rtol: float) -> None:
    """Equal within ``rtol`` of each number, or of the array's largest where terms cancelled."""
    if not isinstance(ours, np.ndarray):
        return
    expected = theirs.detach().numpy() if theirs is not None else np.zeros_like(ours)
    scale = np.abs(expected).max(initial=0) if expected.dtype.kind == "f" else 0
    np.testing.assert_allclose(ours, expected, rtol, atol=rtol * max(scale, 1e-6), err_msg=label)
    assert ours.dtype == expected.dtype, label


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def as_float64(x: Any) -> Any:
    """A float64 copy that is C-contiguous; whatever is no float array stays itself."""
    return np.array(x, np.float64, order="C") if is_float(x) else x


def as_tensor(x: Any) -> Any:
    if is_float(x):
        return torch.tensor(x, requires_grad=True)
    return torch.tensor(x) if isinstance(x, np.ndarray) else x


def as_tuple(x: Any) -> tuple:
    return x if isinstance(x, tuple) else (x,)


def draw_like(y: Any, rng: np.random.Generator) -> np.ndarray | None:
    """A random cotangent for an output, None for what is no float array."""
    return rng.normal(size=y.shape) if is_float(y) else None
