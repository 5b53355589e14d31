"""Two networks that read plates: one that looks once for each character, one that reads a line."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from OptimisationNN.plates.texts import BLANK, DIGITS, LONGEST, Alphabet
from utils.training import drawing_from

LETTER_PLACES = (0, 4, 5)
DIGIT_PLACES = (1, 2, 3, 6, 7, 8)


def convolution(inputs: int, outputs: int, *, pool: tuple[int, int] | None = None) -> nn.Sequential:
    """3×3 convolution, BatchNorm, ReLU, and a maximum over ``pool`` pixels."""
    layers = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(pool)] if pool else []))


class Eyes(nn.Module):
    """Plates uint8 (N, 3, 30, 140) to features (N, ``width``, 35), one column for four pixels."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            convolution(3, 24, pool=(2, 2)),
            convolution(24, 48, pool=(2, 2)),
            convolution(48, 96, pool=(2, 1)),
            convolution(96, width),
        )
        self.flat = nn.Sequential(nn.Conv2d(width, width, (3, 3), padding=(0, 1)), nn.ReLU())

    def forward(self, plates: Tensor) -> Tensor:
        scaled = (plates.float() / 255 - 0.5).contiguous(memory_format=torch.channels_last)
        return self.flat(self.maps(scaled)).squeeze(2)


class PlaceReader(nn.Module):
    """For each of nine places a look at all columns, then one letter or digit.

    The weight of a column is a softmax over columns of what its features say to this place plus a
    number learned for place and column. Weighted are features, and each head ends in logits: there
    is one softmax over columns and one over classes, never one after the other of the same thing.
    """

    def __init__(self, letters: int, generator: torch.Generator, width: int = 128) -> None:
        super().__init__()
        with drawing_from(generator):
            self.eyes = Eyes(width)
            self.query = nn.Conv1d(width, LONGEST, 1)
            self.place = nn.Parameter(torch.zeros(LONGEST, 35))
            self.drop = nn.Dropout(0.1)
            self.letter, self.digit = nn.Linear(width, letters), nn.Linear(width, BLANK + 1)

    def attention(self, features: Tensor) -> Tensor:
        """Weights (N, 9, 35) of the columns for each place; they sum to 1."""
        return (self.query(features) + self.place).softmax(dim=2)

    def forward(self, plates: Tensor) -> Tensor:
        """Logits (N, 9, K), −∞ for what cannot stand at a place; K kinds at the place with most."""
        features = self.eyes(plates)
        seen = self.drop(torch.einsum("npc,nfc->npf", self.attention(features), features))
        kinds = max(self.letter.out_features, self.digit.out_features)
        logits = seen.new_full((len(seen), LONGEST, kinds), -torch.inf)
        logits[:, LETTER_PLACES, : self.letter.out_features] = self.letter(seen[:, LETTER_PLACES])
        logits[:, DIGIT_PLACES, : BLANK + 1] = self.digit(seen[:, DIGIT_PLACES])
        logits[:, DIGIT_PLACES[:-1], BLANK] = -torch.inf  # only the last place may be empty
        return logits


def place_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean cross entropy of the nine characters; classes (N, 9)."""
    return F.cross_entropy(logits.flatten(0, 1), classes.flatten())


class LineReader(nn.Module):
    """Columns from left to right, each one character or nothing: read by CTC (Graves et al. 2006).

    It knows nothing of the plate's form; 0 is CTC's blank, then digits, then letters.
    """

    def __init__(self, letters: int, generator: torch.Generator, width: int = 128) -> None:
        super().__init__()
        with drawing_from(generator):
            self.eyes = Eyes(width)
            self.drop = nn.Dropout(0.1)
            self.symbol = nn.Conv1d(width, 1 + len(DIGITS) + letters, 1)

    def forward(self, plates: Tensor) -> Tensor:
        """Logits (N, 35, symbols)."""
        return self.symbol(self.drop(self.eyes(plates))).transpose(1, 2)


def line_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """CTC loss a character; classes (N, 9) as those of the other reader."""
    symbols, lengths = as_symbols(classes)
    steps = torch.full((len(logits),), logits.shape[1])
    logs = logits.log_softmax(dim=2).transpose(0, 1)  # (35, N, symbols)
    return F.ctc_loss(logs, symbols, steps, lengths, reduction="sum") / lengths.sum()


def as_symbols(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Classes (N, 9) as CTC symbols (N, 9) and how many of them count, (N,)."""
    symbols = classes + 1
    symbols[:, LETTER_PLACES] += len(DIGITS)
    lengths = LONGEST - (classes[:, -1] == BLANK).long()
    return symbols, lengths


def line_texts(logits: Tensor, alphabet: Alphabet) -> list[str]:
    """The best path of each line: repetitions become one, blanks nothing."""
    known = DIGITS + alphabet.letters
    return [
        "".join(known[s - 1] for s in torch.unique_consecutive(path).tolist() if s)
        for path in logits.argmax(dim=2)
    ]


def place_texts(logits: Tensor, alphabet: Alphabet) -> list[str]:
    """The texts that the other reader has found."""
    return [alphabet.decode(row) for row in logits.argmax(dim=2).numpy()]


def shares_right(found: Sequence[str], texts: Sequence[str]) -> tuple[float, float]:
    """Share of characters that stand right at their place, and of plates without a mistake."""
    pairs = list(zip(found, texts, strict=True))
    right = sum(a == b for one, text in pairs for a, b in zip(one, text, strict=False))
    whole = sum(one == text for one, text in pairs) / len(pairs)
    return right / sum(len(text) for text in texts), whole
