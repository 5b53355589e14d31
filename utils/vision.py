"""torchvision, made to load beside a CPU build of torch.

``from utils.vision import torchvision`` is the course's only import of it. The published wheel
links its C++ operators against CUDA; beside a CPU-only torch they do not load, and
``import torchvision`` stops with "operator torchvision::nms does not exist". Declaring the two
operators it looks for is enough for models, datasets, transforms and the box operators; ``nms``
gets a real CPU implementation here, and other C++ operators, such as roi_align, stay away. Where
torchvision loads by itself, nothing is changed.
"""

import importlib

import torch

from utils.metrics import box_iou

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_operators = None  # the library of operators we declared; it lives as long as this module


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes (N, 4) that stay, best score first: greedy non-maximum suppression.

    The best remaining box stays and removes every box whose IoU with it exceeds the threshold.
    """
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    overlap = box_iou(boxes.reshape(-1, 4), boxes.reshape(-1, 4)) > iou_threshold  # (N, N)
    kept: list[int] = []
    for i in order:
        if not overlap[i, kept].any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def _declare_operators() -> None:
    global _operators
    _operators = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        _operators.define(schema)
    _operators.impl("nms", _nms, "CPU")


def _import_torchvision():
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _declare_operators()
        import torchvision

        torchvision.extension._has_ops = lambda: True  # it asks this before it calls nms
    return torchvision


torchvision = _import_torchvision()
importlib.import_module("torchvision.transforms.v2")  # so that torchvision.transforms.v2 is there
