"""The tasks of part 2: images, costs and geometry of networks, convolution, detection, entropy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.grading.criteria import Criterion, Names, Task, expect, expect_error, expect_true, need

# --- S01: a piece of an image -------------------------------------------------------------------


def _crop_values(names: Names) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for row, column, size in ((0, 15, 5), (25, 35, 5), (3, 0, 12)):
        wanted = image[row : row + size, column : column + size].mean(axis=2) / 255
        run = lambda: need(names, "crop")(image, row, column, size)
        expect(f"crop(image, {row}, {column}, {size})", run, wanted, 1e-6)


def _crop_type(names: Names) -> None:
    image = np.full((8, 8, 3), 200, dtype=np.uint8)
    got = lambda: need(names, "crop")(image, 0, 0, 4)
    expect("type of the crop", lambda: str(got().dtype), "float32")
    expect(
        "a crop of bytes 200", got, np.full((4, 4), 200 / 255), 1e-6
    )  # 200 + 200 overflows a byte
    expect("the image afterwards", lambda: image, np.full((8, 8, 3), 200))


def _crop_bad(names: Names) -> None:
    image = np.zeros((10, 12, 3), dtype=np.uint8)
    for row, column, size in ((8, 0, 5), (0, 10, 5), (-1, 0, 5), (0, 0, 0)):
        run = lambda r=row, c=column, s=size: need(names, "crop")(image, r, c, s)
        expect_error(f"crop(image of 10×12, {row}, {column}, {size})", run)


CROP = Task(
    "PART2-S01-CROP",
    "crop(image, row, column, size): a square piece, the mean of its colours, float32 in [0, 1]",
    (
        Criterion("the right piece, the right values", 4, _crop_values),
        Criterion("float32, no overflow of bytes, the image stays", 3, _crop_type),
        Criterion("a piece that is not inside is refused with ValueError", 3, _crop_bad),
    ),
)

# --- S02: what a layer costs --------------------------------------------------------------------

KINDS = ("conv", "local", "grouped", "separable", "dense")


def _costs(
    kind: str, w: int, h: int, kw: int, kh: int, cin: int, cout: int, g: int
) -> tuple[int, int]:
    """Parameters with biases, and multiplications and additions, SAME, stride 1.

    A number that sums n products and a bias takes n multiplications and n additions; without a
    bias, as between the two halves of a separable convolution, n − 1 additions.
    """
    places, patch = w * h, kw * kh
    table = {
        "conv": (patch * cin * cout + cout, 2 * patch * cin * cout * places),
        "local": ((patch * cin * cout + cout) * places, 2 * patch * cin * cout * places),
        "grouped": (patch * cin * cout // g + cout, 2 * patch * cin * cout // g * places),
        "separable": (
            patch * cin + cin * cout + cout,
            ((2 * patch - 1) * cin + 2 * cin * cout) * places,
        ),
        "dense": (places**2 * cin * cout + places * cout, 2 * places**2 * cin * cout),
    }
    return table[kind]


def _task_costs(part: int, wanted: tuple[int, ...]) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        for kind, number in zip(KINDS, wanted, strict=True):
            run = lambda: need(names, "cost_of_layer")(kind, 10, 60, 7, 7, 6, 10, 2)[part]
            expect(f"cost_of_layer({kind!r}, 10, 60, 7, 7, 6, 10, 2)[{part}]", run, number)

    return check


def _other_costs(names: Names) -> None:
    for kind in KINDS:
        for numbers in ((8, 9, 3, 5, 4, 12, 4), (1, 1, 1, 1, 1, 1, 1), (32, 32, 3, 3, 16, 16, 16)):
            wanted = _costs(kind, *numbers)
            run = lambda: need(names, "cost_of_layer")(kind, *numbers)
            expect(f"cost_of_layer({kind!r}, {', '.join(map(str, numbers))})", run, wanted)


def _costs_bad(names: Names) -> None:
    own = need(names, "cost_of_layer")
    expect_error(
        "cost_of_layer('grouped', …), 6 channels in 4 groups",
        lambda: own("grouped", 8, 8, 3, 3, 6, 8, 4),
    )
    expect_error("cost_of_layer('pooled', …)", lambda: own("pooled", 8, 8, 3, 3, 6, 8, 1))


COSTS = Task(
    "PART2-S02-COSTS",
    "cost_of_layer(kind, w, h, kw, kh, c_in, c_out, groups): parameters and operations of a layer",
    (
        Criterion(
            "parameters of the task", 3, _task_costs(0, (2950, 1770000, 1480, 364, 21606000))
        ),
        Criterion(
            *("operations of the task", 3),
            _task_costs(1, (3528000, 3528000, 1764000, 421200, 43200000)),
        ),
        Criterion("both for other sizes", 3, _other_costs),
        Criterion("groups that do not divide, unknown kinds: ValueError", 1, _costs_bad),
    ),
)

NET = (
    "INPUT  -> conv(5x5, s=1, VALID) -> conv(1x1, s=2, SAME) -> conv(7x7, s=2, VALID) "
    "-> conv(3x3, s=1, SAME) -> conv(3x3, s=2, VALID)"
)
OTHER_NET = "INPUT -> conv(3x3, s=2, SAME) -> conv(3x3, s=2, SAME) -> conv(5x5, s=3, VALID)"


def _layers(text: str) -> list[tuple[int, int, bool]]:
    """(kernel, stride, SAME?) of each layer."""
    import re

    return [
        (int(k), int(s), pad == "SAME")
        for k, s, pad in re.findall(r"conv\((\d+)x\d+, s=(\d+), (\w+)\)", text)
    ]


def _size_after(text: str, size: int) -> int:
    for kernel, stride, same in _layers(text):
        size = -(-size // stride) if same else max(0, (size - kernel) // stride + 1)
    return size


def _geometry_outputs(names: Names) -> None:
    own = need(names, "output_size")
    expect("output_size(the task's net, 1024)", lambda: own(NET, 1024), 125)
    for text in (NET, OTHER_NET):
        for size in (64, 100, 227, 512):
            run = lambda: own(text, size)
            expect(f"output_size({text[:34]}…, {size})", run, _size_after(text, size))


def _geometry_inputs(names: Names) -> None:
    own = need(names, "smallest_input")
    expect("smallest_input(the task's net, 256)", lambda: own(NET, 256), 2065)
    for text, wanted in ((OTHER_NET, 7), (NET, 3)):
        smallest = next(n for n in range(1, 500) if _size_after(text, n) >= wanted)
        run = lambda: own(text, wanted)
        expect(f"smallest_input({text[:34]}…, {wanted})", run, smallest)


def _geometry_field(names: Names) -> None:
    own = need(names, "receptive_field")
    expect("receptive_field(the task's net)", lambda: own(NET), 33)
    expect(f"receptive_field({OTHER_NET[:34]}…)", lambda: own(OTHER_NET), 23)
    expect("receptive_field of one conv(3x3, s=9)", lambda: own("INPUT -> conv(3x3, s=9, SAME)"), 3)


def _geometry_parameters(names: Names) -> None:
    own = need(names, "parameters")
    expect("parameters(the task's net)", lambda: own(NET), 98)
    expect("parameters(the other net)", lambda: own(OTHER_NET), 10 + 10 + 26)


def _geometry_bad(names: Names) -> None:
    own = need(names, "output_size")
    for text in ("", "INPUT -> pool(2x2, s=2, SAME)", "INPUT -> conv(3x3, s=0, SAME)"):
        expect_error(f"output_size({text!r}, 64)", lambda text=text: own(text, 64))
    expect_error("output_size(the task's net, 20), too small for it", lambda: own(NET, 20))


GEOMETRY = Task(
    "PART2-S02-GEOMETRY",
    "output_size(text, n), smallest_input(text, n), receptive_field(text), parameters(text)",
    (
        Criterion("sizes of outputs", 3, _geometry_outputs),
        Criterion("the smallest input for an output", 3, _geometry_inputs),
        Criterion("the receptive field", 2, _geometry_field),
        Criterion("parameters, one channel, with biases", 1, _geometry_parameters),
        Criterion("a text that is no net, an input too small: ValueError", 1, _geometry_bad),
    ),
)

# --- S03: convolution by hand -------------------------------------------------------------------


def _torch_convolution(
    x: Any, kernel: Any, bias: Any, stride: int, same: bool, groups: int, dilation: int
) -> Any:
    import torch
    import torch.nn.functional as F

    maps = torch.from_numpy(x).permute(0, 3, 1, 2)
    if same:
        padding = []
        for size, width in ((x.shape[2], kernel.shape[1]), (x.shape[1], kernel.shape[0])):
            total = max(0, (-(-size // stride) - 1) * stride + dilation * (width - 1) + 1 - size)
            padding += [total // 2, total - total // 2]
        maps = F.pad(maps, padding)
    weights = torch.from_numpy(kernel).permute(3, 2, 0, 1)
    out = F.conv2d(maps, weights, torch.from_numpy(bias), stride, 0, dilation, groups)
    return out.permute(0, 2, 3, 1).numpy()


def _convolves(*cases: dict[str, Any]) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        rng = np.random.default_rng(0)
        for case in cases:
            cin, cout = case.get("channels", (4, 4))
            height, width = case.get("kernel", (5, 5))
            x = rng.normal(size=(2, 17, 21, cin))
            groups = case.get("groups", 1)
            kernel, bias = (
                rng.normal(size=(height, width, cin // groups, cout)),
                rng.normal(size=cout),
            )
            options = {k: v for k, v in case.items() if k not in ("channels", "kernel")}
            wanted = _torch_convolution(
                *(x, kernel, bias, options.get("stride", 1), options.get("padding") == "same"),
                *(groups, options.get("dilation", 1)),
            )
            shown = ", ".join(f"{name}={value!r}" for name, value in case.items())
            run = lambda: need(names, "convolve")(x, kernel, bias, **options)
            expect(f"convolve with {shown or 'nothing else'}", run, wanted, 1e-8)

    return check


def _convolve_bad(names: Names) -> None:
    own, x, bias = need(names, "convolve"), np.zeros((1, 6, 6, 4)), np.zeros(3)
    expect_error("a kernel for 3 channels on 4", lambda: own(x, np.zeros((3, 3, 3, 3)), bias))
    expect_error("a kernel of 7×7 on 6×6", lambda: own(x, np.zeros((7, 7, 4, 3)), bias))
    expect_error("padding='some'", lambda: own(x, np.zeros((3, 3, 4, 3)), bias, padding="some"))
    expect_error("two biases for three channels", lambda: own(x, np.zeros((3, 3, 4, 3)), bias[:2]))


CONVOLUTION = Task(
    "PART2-S03-CONVOLUTION",
    "convolve(x, kernel, bias, stride=1, padding='valid', groups=1, dilation=1), NHWC",
    (
        Criterion(
            "valid, any stride", 3, _convolves({}, {"stride": 4}, {"stride": 3, "kernel": (2, 3)})
        ),
        Criterion(
            "other numbers of channels in and out",
            2,
            _convolves({"channels": (4, 7)}, {"channels": (3, 1)}),
        ),
        Criterion(
            *("same, for any kernel and stride", 3),
            _convolves({"padding": "same"}, {"padding": "same", "stride": 2, "kernel": (3, 4)}),
        ),
        Criterion("groups", 2, _convolves({"groups": 2}, {"groups": 4, "channels": (4, 8)})),
        Criterion(
            "dilation",
            2,
            _convolves({"dilation": 2}, {"dilation": 3, "kernel": (3, 3), "stride": 2}),
        ),
        Criterion("shapes that do not fit: ValueError", 2, _convolve_bad),
    ),
)

# --- S04: a network of one's own ----------------------------------------------------------------


def _made(names: Names, layer: str, *arguments: Any) -> Any:
    """A layer with random weights; its arrays are what ``parameters()`` lists."""
    return need(names, layer)(*arguments, rng=np.random.default_rng(0))


def _forward_dense(names: Names) -> None:
    dense, x = _made(names, "Dense", 3, 2), np.random.default_rng(1).normal(size=(4, 3))
    weights, bias = dense.parameters()
    expect("Dense(3, 2).forward", lambda: dense.forward(x), x @ weights + bias)


def _forward_others(names: Names) -> None:
    x = np.array([[-1.0, 0.0, 2.0], [3.0, -0.5, 1.0]])
    expect("ReLU().forward", lambda: need(names, "ReLU")().forward(x), np.maximum(x, 0))
    softmax = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    expect("Softmax().forward", lambda: need(names, "Softmax")().forward(x), softmax)
    large = np.array([[1000.0, 0.0]])
    expect(
        "Softmax().forward([[1000, 0]])", lambda: need(names, "Softmax")().forward(large), [[1, 0]]
    )
    images = np.arange(24.0).reshape(2, 3, 4)
    expect(
        "Flatten().forward", lambda: need(names, "Flatten")().forward(images), images.reshape(2, 12)
    )


def _network(names: Names) -> Any:
    rng = np.random.default_rng(0)
    dense = [need(names, "Dense")(*sizes, rng=rng) for sizes in ((6, 5), (5, 4))]
    parts = (
        need(names, "Flatten")(),
        dense[0],
        need(names, "ReLU")(),
        dense[1],
        need(names, "Softmax")(),
    )
    return need(names, "Network")(list(parts))


def _batch() -> tuple[Any, Any]:
    rng = np.random.default_rng(2)
    return rng.normal(size=(7, 2, 3)), np.eye(4)[rng.integers(0, 4, 7)]


def _loss_of(names: Names, network: Any, x: Any, targets: Any) -> float:
    return float(need(names, "CrossEntropy")().forward(network.forward(x), targets))


def _slopes(run: Callable[[], float], array: Any) -> Any:
    """Central differences of ``run`` with respect to every number of an array, in place."""
    slopes = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        middle, around = array[place], []
        for step in (1e-6, -1e-6):
            array[place] = middle + step
            around.append(run())
        array[place] = middle
        slopes[place] = (around[0] - around[1]) / 2e-6
    return slopes


def _network_forward(names: Names) -> None:
    x, targets = _batch()
    network = _network(names)
    outputs = lambda: network.forward(x)
    expect("sums of the network's probabilities", lambda: outputs().sum(axis=1), np.ones(7))
    by_hand = lambda: -np.log((outputs() * targets).sum(axis=1)).mean()
    expect(
        "CrossEntropy().forward, mean over the batch",
        lambda: _loss_of(names, network, x, targets),
        by_hand(),
    )


def _layer_inputs(names: Names) -> None:
    rng = np.random.default_rng(3)
    for name, layer in (
        ("Dense", _made(names, "Dense", 4, 3)),
        ("ReLU", need(names, "ReLU")()),
        ("Softmax", need(names, "Softmax")()),
    ):
        x = rng.normal(size=(5, 4))
        weight = rng.normal(size=layer.forward(x).shape)
        wanted = _slopes(lambda: float((layer.forward(x) * weight).sum()), x)
        layer.forward(x)
        expect(
            f"{name}.backward, gradient of the input", lambda: layer.backward(weight), wanted, 1e-5
        )


def _loss_gradient(names: Names) -> None:
    x, targets = _batch()
    probabilities = _network(names).forward(x)
    loss = need(names, "CrossEntropy")()
    wanted = _slopes(lambda: float(loss.forward(probabilities, targets)), probabilities)
    loss.forward(probabilities, targets)
    expect("CrossEntropy.backward, of the mean", loss.backward, wanted, 1e-4)


def _backpropagated(names: Names) -> Any:
    x, targets = _batch()
    network, loss = _network(names), need(names, "CrossEntropy")()
    loss.forward(network.forward(x), targets)
    return network, network.backward(loss.backward()), x, targets


def _network_inputs(names: Names) -> None:
    network, gradient, x, targets = _backpropagated(names)
    wanted = _slopes(lambda: _loss_of(names, network, x, targets), x)
    expect("Network.backward, gradient of the input", lambda: gradient, wanted, 1e-5)


def _network_parameters(names: Names) -> None:
    network, _, x, targets = _backpropagated(names)
    gradients = [np.array(g) for g in network.gradients()]
    for number, (array, gradient) in enumerate(zip(network.parameters(), gradients, strict=True)):
        wanted = _slopes(lambda: _loss_of(names, network, x, targets), array)
        expect(
            f"gradient of parameter {number}, through all later layers",
            lambda: gradient,
            wanted,
            1e-5,
        )


def _learns(names: Names) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    x = (np.eye(4)[labels][:, [0, 1, 2, 3, 0, 1]] + 0.3 * rng.normal(size=(200, 6))).reshape(
        200, 2, 3
    )
    network = _network(names)
    run = lambda: need(names, "fit")(network, x, np.eye(4)[labels], epochs=60, learning_rate=0.5)
    expect_true(
        "fit(network, x, targets, epochs, learning_rate)", lambda: run() is None or True, ""
    )
    right = lambda: (network.forward(x).argmax(axis=1) == labels).mean() > 0.95
    expect_true("the trained network", right, "it reads fewer than 95 % of an easy set")


def _convolution_layer(name: str) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        import torch

        layer = need(names, name)(2, 3, 3, rng=np.random.default_rng(0))
        x = np.random.default_rng(1).normal(size=(2, 2, 5, 6))
        weights, bias = (torch.from_numpy(p).requires_grad_() for p in layer.parameters())
        inputs = torch.from_numpy(x).requires_grad_()
        function = torch.conv2d if name == "Conv2d" else torch.conv_transpose2d
        wanted = function(inputs, weights, bias)
        expect(f"{name}(2, 3, 3).forward, NCHW", lambda: layer.forward(x), wanted.detach().numpy())
        upstream = np.random.default_rng(2).normal(size=wanted.shape)
        wanted.backward(torch.from_numpy(upstream))
        expect(f"{name}.backward", lambda: layer.backward(upstream), inputs.grad.numpy())
        for got, tensor in zip(layer.gradients(), (weights, bias), strict=True):
            expect(f"gradients of {name}", lambda: got, tensor.grad.numpy())

    return check


def _own_optimizer(names: Names) -> None:
    import torch

    values = np.array([1.0, -2.0, 3.0])
    tensor = torch.tensor(values, requires_grad=True)
    reference = torch.optim.Adam([tensor], lr=0.1)
    own = need(names, "Adam")([values], learning_rate=0.1)
    for step in range(5):
        reference.zero_grad()
        ((tensor - 0.5) ** 4).sum().backward()
        own.step([4 * (values - 0.5) ** 3])
        reference.step()
        expect(
            f"values after {step + 1} steps of Adam", lambda: values, tensor.detach().numpy(), 1e-7
        )


NETWORK = Task(
    "PART2-S04-NETWORK",
    "Dense ReLU Softmax Flatten Network CrossEntropy fit; bonus: Conv2d ConvTranspose2d Adam",
    (
        Criterion("Dense, forward", 2, _forward_dense),
        Criterion("ReLU, Softmax without overflow, Flatten, forward", 2, _forward_others),
        Criterion("a network and its loss, forward", 1, _network_forward),
        Criterion("gradients of inputs, layer by layer", 2, _layer_inputs),
        Criterion("gradient of the loss, a mean over the batch", 1, _loss_gradient),
        Criterion("gradient of the network's input", 2, _network_inputs),
        Criterion("gradients of all parameters: backpropagation", 6, _network_parameters),
        Criterion("it learns", 4, _learns),
        Criterion("bonus: a convolution", 10, _convolution_layer("Conv2d")),
        Criterion("bonus: a transposed convolution", 10, _convolution_layer("ConvTranspose2d")),
        Criterion("bonus: Adam", 5, _own_optimizer),
    ),
)

# --- S06: detection -----------------------------------------------------------------------------

TRUTH = [
    (10, 0, 100, 100),
    (200, 300, 95, 200),
    (1000, 500, 250, 300),
    (700, 500, 98, 112),
    (690, 212, 102, 108),
]
FOUND = [
    *((710, 530, 83, 92), (653, 250, 79, 94), (205, 310, 100, 196), (1020, 490, 200, 312)),
    *((123, 463, 335, 1023), (463, 230, 1020, 350), (5, 7, 101, 103)),
]
SURE = [0.4, 0.6, 0.7, 0.5, 0.8, 0.3, 0.9]


def _boxes() -> tuple[Any, Any, Any]:
    return np.array(TRUTH, dtype=float), np.array(FOUND, dtype=float), np.array(SURE)


def _overlaps(names: Names) -> None:
    truth, found, _ = _boxes()
    own = need(names, "box_overlaps")
    wanted = ((6, 0, 0.778), (2, 1, 0.795), (3, 2, 0.775), (0, 3, 0.576), (1, 4, 0.190))
    for prediction, box, iou in wanted:
        run = lambda: float(own(found, truth)[prediction, box])
        expect(f"overlap of prediction {prediction} and box {box}", run, iou, 1e-3)
    expect("overlap of boxes that do not touch", lambda: float(own(found, truth)[4, 0]), 0.0)


def _precision(how: str, values: tuple[float, ...]) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        for iou, wanted in zip((0.5, 0.75, 0.9), values, strict=True):
            run = lambda: need(names, "average_precision")(*_boxes(), iou, how)
            expect(f"average_precision at {iou}, {how}", run, wanted, 1e-4)

    return check


def _one_match(names: Names) -> None:
    truth = np.array([[0.0, 0, 10, 10]])
    found = np.array([[0.0, 0, 10, 10], [1, 0, 10, 10], [0, 1, 10, 10]])
    own = need(names, "average_precision")
    expect(
        "three predictions of one box, best last",
        lambda: own(truth, found, np.array([0.1, 0.9, 0.8]), 0.9, "all"),
        1 / 3,
    )
    expect(
        "the same, best first",
        lambda: own(truth, found, np.array([0.9, 0.8, 0.1]), 0.5, "all"),
        1.0,
    )
    expect("no prediction", lambda: own(truth, np.zeros((0, 4)), np.zeros(0), 0.5, "all"), 0.0)


def _recall(names: Names) -> None:
    expect(
        "average_recall, 0.5 to 0.95", lambda: need(names, "average_recall")(*_boxes()), 0.40, 1e-6
    )


def _boxes_bad(names: Names) -> None:
    truth, found, sure = _boxes()
    own = need(names, "average_precision")
    flat = truth.copy()
    flat[0, 2] = 0
    expect_error("a true box of width 0", lambda: own(flat, found, sure, 0.5, "all"))
    expect_error(
        "fewer confidences than predictions", lambda: own(truth, found, sure[:-1], 0.5, "all")
    )
    expect_error("how='some'", lambda: own(truth, found, sure, 0.5, "some"))


DETECTION = Task(
    "PART2-S06-DETECTION",
    "box_overlaps(found, truth), average_precision(truth, found, sure, iou, how), average_recall",
    (
        Criterion("overlaps of boxes (x, y, w, h), y from the top", 2, _overlaps),
        Criterion("all-point average precision", 3, _precision("all", (0.6, 0.4533333333, 0.0))),
        Criterion(
            "101-point average precision", 2, _precision("101", (0.603960396, 0.458745875, 0.0))
        ),
        Criterion("a box is matched once, by the surest prediction", 2, _one_match),
        Criterion("average recall from 0.5 to 0.95", 2, _recall),
        Criterion("boxes without area, missing confidences: ValueError", 1, _boxes_bad),
    ),
)

# --- S08: entropy -------------------------------------------------------------------------------


def _entropy(names: Names) -> None:
    own = need(names, "entropy")
    expect("entropy of [1/2, 1/2]", lambda: own(np.array([0.5, 0.5])), math.log(2))
    expect("entropy of [1, 0]", lambda: own(np.array([1.0, 0.0])), 0.0)
    expect("entropy of [0.7, 0.2, 0.1]", lambda: own(np.array([0.7, 0.2, 0.1])), 0.8018185525433373)


def _maximum(names: Names) -> None:
    expect("maximum_entropy(17)", lambda: need(names, "maximum_entropy")(17), 2.833213344056216)
    expect("maximum_entropy(1)", lambda: need(names, "maximum_entropy")(1), 0.0)


def _searched(names: Names) -> None:
    own = need(names, "most_uncertain")
    expect("most_uncertain(5), found by a search", lambda: own(5), np.full(5, 0.2), 1e-3)
    expect("most_uncertain(17)", lambda: own(17), np.full(17, 1 / 17), 1e-3)


def _entropy_bad(names: Names) -> None:
    own = need(names, "entropy")
    for values in ([0.5, 0.6], [-0.1, 1.1], []):
        expect_error(f"entropy({values})", lambda values=values: own(np.array(values)))
    expect_error("maximum_entropy(0)", lambda: need(names, "maximum_entropy")(0))


ENTROPY = Task(
    "PART2-S08-ENTROPY",
    "entropy(p), maximum_entropy(n), most_uncertain(n): natural logarithms",
    (
        Criterion("entropy, with 0 · ln 0 = 0", 3, _entropy),
        Criterion("its maximum over n classes", 2, _maximum),
        Criterion("the maximum found by a search", 3, _searched),
        Criterion("what is no distribution: ValueError", 2, _entropy_bad),
    ),
)

TASKS = (CROP, COSTS, GEOMETRY, CONVOLUTION, NETWORK, DETECTION, ENTROPY)
