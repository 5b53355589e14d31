"""torchvision loads beside any build of torch, and its nms is right."""

import re
import subprocess
import sys

import torch

from utils import vision
from utils.paths import ROOT
from utils.vision import _nms, torchvision

BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10]])
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.95])


def test_models_transforms_and_box_operators_work():
    net = torchvision.models.resnet18(num_classes=3).eval()
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    flip = torchvision.transforms.v2.RandomHorizontalFlip(p=1.0)
    assert torch.equal(flip(torch.arange(3).reshape(1, 1, 3))[0, 0], torch.tensor([2, 1, 0]))
    assert torchvision.ops.box_iou(BOXES, BOXES).diag().eq(1).all()


def test_nms_keeps_the_best_of_each_heap():
    assert torchvision.ops.nms(BOXES, SCORES, 0.5).tolist() == [3, 2]
    assert torchvision.ops.nms(BOXES, SCORES, 0.99).tolist() == [3, 1, 2]
    assert _nms(BOXES, SCORES, 0.5).tolist() == [3, 2]
    assert torchvision.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_where_torchvision_loads_by_itself_nothing_is_declared():
    """With the operators already there, as with a matching build, the repair must stay away."""
    matching = vision._operators is None  # this very build
    declared = (
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
    )
    program = ("" if matching else declared) + (
        "from utils import vision\n"
        "assert vision._operators is None\n"
        "assert vision.torchvision.__version__\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, check=True)


def test_only_this_module_imports_torchvision():
    sources = [p for folder in ("utils", "tools", "tests") for p in (ROOT / folder).rglob("*.py")]
    line = re.compile(r"^ *import torchvision\b", re.MULTILINE)
    importing = [p.name for p in sources if line.search(p.read_text("utf-8"))]
    assert [name for name in importing if name != "test_vision.py"] == ["vision.py"]
