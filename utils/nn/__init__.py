"""A network library in NumPy: PyTorch's names, weights and results, in code to be read.

    model = Sequential(Linear(784, 128, rng=rng), ReLU(), Linear(128, 10, rng=rng))
    optimizer = Adam(model.parameters(), lr=1e-3)
    history = fit(model, batches(x, y, 128, rng), CrossEntropyLoss(), optimizer, epochs=5, rng=rng)

A layer has ``forward`` and ``backward`` and nothing is hidden between them; there is no graph.
Modules, from the ground up:

    module                                        Module, Parameter, Sequential
    init                                          initial weights
    linear  activations  dropout  normalisation   layers
    windows  conv  pooling                        layers of images
    recurrent  attention                          layers of sequences
    losses  optim  schedules                      what trains them
    training                                      batches, fit, evaluate, predict
"""

from utils.nn import init
from utils.nn.activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh
from utils.nn.attention import MultiheadAttention, TransformerEncoderLayer
from utils.nn.conv import Conv2d, ConvTranspose2d
from utils.nn.dropout import Dropout
from utils.nn.linear import Embedding, Flatten, Linear
from utils.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    KLDivLoss,
    MSELoss,
    MultiMarginLoss,
)
from utils.nn.module import Module, Parameter, Sequential
from utils.nn.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from utils.nn.optim import SGD, Adadelta, Adagrad, Adam, AdamW, LazyAdam, NAdam, RMSprop
from utils.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    MaxPool2d,
    MaxUnpool2d,
    SpatialPyramidPool,
)
from utils.nn.recurrent import GRU, LSTM, RNN
from utils.nn.schedules import CosineAnnealingLR, OneCycleLR, StepLR
from utils.nn.training import batches, clip_grad_norm_, evaluate, fit, predict

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "CosineAnnealingLR",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "KLDivLoss",
    "LayerNorm",
    "LazyAdam",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "MaxUnpool2d",
    "Module",
    "MultiMarginLoss",
    "MultiheadAttention",
    "NAdam",
    "OneCycleLR",
    "Parameter",
    "RMSprop",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SpatialPyramidPool",
    "StepLR",
    "Tanh",
    "TransformerEncoderLayer",
    "batches",
    "clip_grad_norm_",
    "evaluate",
    "fit",
    "init",
    "predict",
]
