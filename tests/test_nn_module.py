"""Module, Sequential and weights that move: to torch and back, to a file and back."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import nn
from utils.nn.module import Module
from utils.paths import ROOT

torch.set_num_threads(1)


def net(seed: int = 0, classes: int = 3) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(4, 5, rng=rng),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Sequential(nn.Linear(5, 5, bias=False, rng=rng), nn.Tanh()),
        nn.Linear(5, classes, rng=rng),
    )


def torch_net() -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 5),
        torch.nn.BatchNorm1d(5),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Linear(5, 5, bias=False), torch.nn.Tanh()),
        torch.nn.Linear(5, 3),
    )


def data(n: int = 6, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 4)).astype(dtype)


class Residual(Module):
    """A module of one's own: a list of layers, one of them shared, and a parameter."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.layers = [nn.Linear(4, 4, rng=rng), nn.Linear(4, 4, rng=rng)]
        self.layers[1].weight = self.layers[0].weight


def test_weights_move_to_torch_and_back():
    ours, theirs = net(), torch_net()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = data()
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach(), rtol=1e-4, atol=1e-6)
    other = net(seed=1)
    other.load_state_dict(theirs.state_dict())  # tensors are arrays too
    np.testing.assert_allclose(
        other.eval()(x), theirs.eval()(torch.tensor(x)).detach(), rtol=1e-4, atol=1e-6
    )
    assert [p.shape for p in theirs.parameters()] == [p.data.shape for p in ours.parameters()]
    assert [n for n, _ in theirs.named_parameters()] == [n for n, _ in ours.named_parameters()]


def test_a_net_in_float64_is_torchs():
    from tests.gradients import check_gradients, compare_with_torch

    rng = np.random.default_rng(0)
    compare_with_torch(net(), torch_net(), data(), rng=rng)
    check_gradients(net(), data(), rng=rng)


def test_a_state_dict_is_a_copy():
    model = net()
    state = model.state_dict()
    for array in state.values():
        array[...] = 7
    assert not any((p.data == 7).any() for p in model.parameters())


def test_loading_keeps_the_arrays_and_the_dtype():
    model = net()
    before = [p.data for p in model.parameters()]
    model.load_state_dict(net(seed=1).astype(np.float64).state_dict())
    assert all(p.data is array for p, array in zip(model.parameters(), before, strict=True))
    assert model(data()).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"missing \['0.bias'\], unexpected \[\]\."),
        (lambda s: s.update(z=s["0.bias"]), r"missing \[\], unexpected \['z'\]\."),
        (
            lambda s: s.update({"0.weight": np.ones((5, 3))}),
            r"0.weight has shape \(5, 4\); got \(5, 3\)\.",
        ),
    ],
)
def test_other_weights_are_refused_and_nothing_changes(change, message: str):
    model, state = net(), net(seed=1).state_dict()
    change(state)
    before = model.state_dict()
    with pytest.raises(ValueError, match=f"^Sequential: .*{message}$"):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_save_and_load(tmp_path: Path):
    model, path = net(), tmp_path / "new" / "weights.npz"
    model(data())  # moves the running statistics
    model.save(path)
    other = net(seed=1).load(str(path))
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
        assert array.dtype == model.state_dict()[name].dtype
    assert [p.name for p in path.parent.iterdir()] == ["weights.npz"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "weights.npz"
    net().save(path)
    before = path.read_bytes()

    def full(file, **arrays) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        net(seed=1).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_file_of_weights_is_told(tmp_path: Path):
    path = tmp_path / "weights.npz"
    net().save(path)
    whole = path.read_bytes()
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    contents = {
        "empty": b"",
        "text": b"no weights here",
        "half": whole[: len(whole) // 2],
        "changed": whole[:200] + bytes(50) + whole[250:],
        "array": (tmp_path / "one.npy").read_bytes(),
        "pickle": (tmp_path / "objects.npz").read_bytes(),
    }
    for content in contents.values():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^weights.npz is damaged, or is no .npz file of"):
            net().load(path)
    with pytest.raises(FileNotFoundError):
        net().load(tmp_path / "none.npz")
    net(classes=4).save(path)
    with pytest.raises(ValueError, match=r"^Sequential: 4.weight has shape \(3, 5\); got \(4, 5\)"):
        net().load(path)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
def test_any_damage_is_found_or_harmless(tmp_path_factory, place: float, change: int, cut: bool):
    path = tmp_path_factory.mktemp("damage") / "weights.npz"
    net().save(path)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    content[at] ^= change
    path.write_bytes(content[:at] if cut else content)
    model = net(seed=1)
    told = None
    try:
        model.load(path)
    except ValueError as error:
        told = str(error)
    # harmless: a date, or another byte that says nothing about numbers
    expected = net(seed=1 if told else 0).state_dict()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, expected[name])
    assert told is None or (told.endswith(".") and "\n" not in told)


def test_sequential_is_a_list_of_layers():
    model = net()
    assert len(model) == 5
    assert isinstance(model[2], nn.ReLU)
    assert model[-1] is model[4]
    front = model[:3]
    assert isinstance(front, nn.Sequential)
    x = data()
    np.testing.assert_array_equal(model[3:](front(x)), model(x))
    assert list(front.state_dict())[0] == "0.weight"
    relu = nn.ReLU()
    with pytest.raises(ValueError, match="Sequential: one layer stands in it twice"):
        nn.Sequential(relu, relu)


def test_a_module_of_ones_own():
    model = Residual(np.random.default_rng(0))
    assert list(model.state_dict()) == [
        "scale",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert len(model.parameters()) == 4  # the shared one once
    with pytest.raises(NotImplementedError):
        model(data())


def test_gradients_add_up_until_they_are_forgotten():
    layer, x = nn.Linear(4, 3, rng=np.random.default_rng(0)), data()
    for times in (1, 2):
        layer.backward(np.ones_like(layer(x)))
        np.testing.assert_allclose(layer.bias.grad, times * len(x))
    layer.zero_grad()
    assert layer.bias.grad is None
    with pytest.raises(RuntimeError, match=r"^Linear: backward needs a forward before it\.$"):
        nn.Linear(4, 3, rng=np.random.default_rng(0)).backward(x)


def test_modes_and_types_reach_every_layer():
    model = net()
    assert all(not m.training for m in model.eval().modules())
    assert all(m.training for m in model.train().modules())
    state = model.astype(np.float64).state_dict()
    assert {v.dtype.name for v in state.values()} == {"float64", "int64"}
    assert model(data(dtype=np.float64)).dtype == np.float64


def test_a_float32_net_trains_in_float32():
    model = net()
    optimizer = nn.Adam(model.parameters(), lr=np.float64(0.01))
    loss = nn.CrossEntropyLoss()
    loss(model(data()), np.arange(6) % 3)
    gradient = model.backward(loss.backward())
    optimizer.step()
    dtypes = {gradient.dtype, *(p.grad.dtype for p in model.parameters())}
    dtypes |= {p.data.dtype for p in model.parameters()}
    assert dtypes == {np.dtype(np.float32)}


def test_what_is_no_array_is_told():
    layer = nn.Linear(4, 3, rng=np.random.default_rng(0))
    with pytest.raises(
        ValueError, match=r"^Linear: expected float32 of shape \(…, 4\); got list\.$"
    ):
        layer([[1.0] * 4])
    with pytest.raises(ValueError, match=r"got torch.float32 of shape \(2, 4\)\.$"):
        layer(torch.ones(2, 4))


def test_the_library_imports_numpy_only():
    program = (
        "import sys, utils.nn\n"
        "print(*{'torch', 'scipy', 'sklearn', 'pandas', 'matplotlib', 'pooch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, "")
    allowed = {"numpy", "utils", *sys.stdlib_module_names}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            assert {name.split(".")[0] for name in names} <= allowed, path.name
            inside = [name for name in names if name.startswith("utils")]
            assert all(n.startswith(("utils.nn", "utils.history", "utils.paths")) for n in inside)


def trees() -> list[tuple[Path, ast.Module]]:
    files = sorted((ROOT / "utils" / "nn").glob("*.py"))
    return [(path, ast.parse(path.read_text("utf-8"))) for path in files]


def code_lines(node: ast.AST) -> int:
    """Lines that do something: no docstrings, comments, blank lines, nor signatures.

    The arguments of a layer are PyTorch's, however many; what is ours to keep short is the code.
    """
    lines = set()
    for part in ast.walk(node):
        docstring = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
        signature = isinstance(part, ast.FunctionDef | ast.ClassDef)
        if isinstance(part, ast.stmt) and not docstring and not signature:
            body = getattr(part, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) else part.end_lineno
            lines |= set(range(part.lineno, last + 1))
    return len(lines)


def has_backward(node: ast.ClassDef) -> bool:
    """Whether a class is a layer."""
    methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    return node.name != "Module" and "backward" in methods


def test_layers_and_functions_are_small():
    functions, layers = {}, {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                functions[f"{path.stem}.{node.name}"] = code_lines(node)
            elif isinstance(node, ast.ClassDef) and has_backward(node):
                layers[f"{path.stem}.{node.name}"] = code_lines(node)
    assert statistics.median(functions.values()) <= 8
    assert {name: n for name, n in functions.items() if n > 30} == {}
    assert {name: n for name, n in layers.items() if n > 40} == {}
