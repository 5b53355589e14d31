"""Does a smaller alphabet help because it has fewer letters, or because fewer look alike?

The archive removes six letters of 33 that are easily taken for another, and says that accuracy
rises. Each arm of the study trains the same reader, with the same plan, on another alphabet.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from OptimisationNN.plates.sets import Plates
from OptimisationNN.plates.texts import CYRILLIC, Alphabet
from OptimisationNN.plates.training import HELD_OUT, Plan, score, train
from utils.paths import ROOT, atomic

ALIKE = "ЕЁИЙЖШ"  # what the archive removes
FEW_ALIKE, FEW_DISTINCT = "ЕЁИЙШЩЬЪОСЗЭ", "АДИКЛМРТУФХЯ"
PLAN = Plan(epochs=2, steps=150, checked=100)
TESTED = 2_000
RUNS = ROOT / "build" / "plates" / "study"


def arms(seed: int) -> dict[str, Alphabet]:
    """The alphabets of a seed: all 33 letters, 27 of them in two ways, 12 in two ways.

    ``random`` removes as many letters as ``specialised``, drawn from those that the archive keeps.
    """
    others = sorted(set(CYRILLIC) - set(ALIKE))
    drawn = np.random.default_rng([seed, 1]).choice(others, len(ALIKE), replace=False)
    return {
        "full": Alphabet(CYRILLIC),
        "specialised": Alphabet(_without(ALIKE)),
        "random": Alphabet(_without("".join(drawn))),
        "few_alike": Alphabet(FEW_ALIKE),
        "few_distinct": Alphabet(FEW_DISTINCT),
    }


def _without(letters: str) -> str:
    return "".join(letter for letter in CYRILLIC if letter not in letters)


def accuracies(
    arm: str, seed: int, plan: Plan = PLAN, tested: int = TESTED, folder: Path = RUNS
) -> dict[str, float]:
    """Shares of characters and plates of one arm and seed, trained now or read from ``folder``.

    And the ``seconds`` that it took when it was trained.
    """
    place = folder / f"{arm}-{seed}.json"
    if not place.is_file():
        start, own = time.perf_counter(), replace(plan, alphabet=arms(seed)[arm])
        reader, _ = train(own, seed, checkpoint=place.with_suffix(".part"))
        unseen = Plates(tested, seed + 2 * HELD_OUT, own.alphabet, own.strength).tensors()
        characters, plates = score(reader, own, unseen)
        seconds = round(time.perf_counter() - start, 1)
        found = {"characters": characters, "plates": plates, "seconds": seconds}
        with atomic(place) as temporary:
            temporary.write_text(json.dumps(found))
        place.with_suffix(".part").unlink(missing_ok=True)
    return json.loads(place.read_text("utf-8"))


def measure(seed: int, profile: str) -> dict[str, Any]:
    """What the ledger records: the accuracy of each arm, three differences, and the seconds."""
    runs = {arm: accuracies(arm, seed) for arm in arms(seed)}
    found = {arm: run["plates"] for arm, run in runs.items()}
    metrics = {f"plate_accuracy_{arm}": share for arm, share in found.items()} | {
        "accuracy_gain_specialised": found["specialised"] - found["full"],
        "accuracy_gain_at_equal_class_count": found["specialised"] - found["random"],
        "accuracy_gain_of_12_distinct": found["few_distinct"] - found["few_alike"],
    }
    return {"metrics": metrics, "seconds": sum(run["seconds"] for run in runs.values())}
