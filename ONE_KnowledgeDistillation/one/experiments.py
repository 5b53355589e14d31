"""The one table of what is compared, at which size, and how much it may compute."""

from dataclasses import dataclass, replace

ONE_BRANCH, THREE, FIVE = "one-branch", "three-branch", "five-branch"


@dataclass(frozen=True)
class Scale:
    """The size of all runs of a kind.

    ``epochs`` and ``rate`` (of SGD) of a training from scratch, ``more`` epochs of a training that
    goes on with trained networks, at ``again`` times the rate. ``count`` training images, or all.
    """

    name: str
    data: str
    depth: int
    width: int
    epochs: int
    more: int
    block: str = "basic"
    batch: int = 128
    rate: float = 0.1
    again: float = 0.2
    schedule: str = "one-cycle"
    decay: float = 5e-4
    count: int | None = None


SCALES = {
    scale.name: scale
    for scale in (
        Scale("pocket", "cifar20", depth=8, width=8, epochs=6, more=3),
        Scale("paper", "cifar100", depth=32, width=16, epochs=300, more=100, schedule="steps"),
        Scale("paper10", "cifar10", depth=32, width=16, epochs=300, more=100, schedule="steps"),
        Scale("paper110", "cifar100", depth=110, width=16, epochs=300, more=100, schedule="steps"),
        Scale("short", "cifar100", depth=32, width=16, epochs=60, more=20, batch=512, rate=0.4),
    )
}


@dataclass(frozen=True)
class Experiment:
    """One way to get a network.

    ``start`` is "scratch", or a function of ``starts`` that takes the networks of ``parents``;
    ``like`` names the experiment whose compute this one, its control, may use up in full.
    ``ramp`` is the share of the training over which distillation rises.
    """

    name: str
    about: str
    branches: int = 3
    start: str = "scratch"
    parents: tuple[str, ...] = ()
    like: str | None = None
    gated: bool = True
    shared: bool = True
    distil: float = 1.0
    temperature: float = 3.0
    ramp: float = 0.25
    schedule: str | None = None


_ALL = (
    Experiment(ONE_BRANCH, "1: the baseline, plain training", branches=1),
    Experiment("one-branch-longer", "the baseline with the compute of 2", branches=1, like=THREE),
    Experiment(THREE, "2: three branches that teach each other"),
    Experiment(FIVE, "3: five branches", branches=5),
    Experiment("three-branch-longer", "2 with the compute of 3", like=FIVE),
    Experiment(
        "three-to-five",
        "5: three trained branches become five",
        branches=5,
        start="three_to_five",
        parents=(THREE,),
    ),
    Experiment(
        "five-branch-longer",
        "five from scratch with the compute of 5",
        branches=5,
        like="three-to-five",
    ),
    Experiment(
        "combined",
        "6: three networks side by side, only a gate is trained",
        start="combined",
        parents=(ONE_BRANCH,) * 3,
    ),
    Experiment(
        "together",
        "three networks that share nothing, with the compute of 6",
        shared=False,
        like="combined",
    ),
    Experiment(
        "merged",
        "7: the branches of three networks on the shared layers of one",
        start="merged",
        parents=(ONE_BRANCH,) * 3,
    ),
    Experiment("three-branch-like-merged", "2 with the compute of 7", like="merged"),
    Experiment(
        "one-to-three",
        "8: one branch becomes three, with noise",
        start="one_to_three",
        parents=(ONE_BRANCH,),
    ),
    Experiment(
        "one-to-three-equal",
        "8 without noise: three equal copies",
        start="one_to_three_equal",
        parents=(ONE_BRANCH,),
    ),
    Experiment("three-branch-like-expanded", "2 with the compute of 8", like="one-to-three"),
    Experiment("no-gate", "2 with even shares", gated=False),
    Experiment("no-sharing", "2 with three networks that share nothing", shared=False),
    Experiment("no-distillation", "2 without distillation", distil=0.0),
    Experiment("two-branch", "two branches", branches=2),
    Experiment("four-branch", "four branches", branches=4),
    Experiment(
        "five-to-one",
        "one branch taught by five that have finished",
        branches=1,
        start="taught",
        parents=(FIVE,),
    ),
    *(
        Experiment(f"temperature-{t}", f"2 at temperature {t}", temperature=float(t))
        for t in (1, 2, 5, 8)
    ),
    *(Experiment(f"ramp-{r}", f"2 with a ramp of {r} %", ramp=r / 100) for r in (0, 50, 100)),
    *(
        Experiment(f"schedule-{s}", f"1 with learning rates {s}", branches=1, schedule=s)
        for s in ("constant", "cosine", "ratio", "geometric")
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def experiment(name: str) -> Experiment:
    """One of the table. Raises ValueError, listing them, for another name."""
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment called {name!r}; there are {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[name]


def scale(profile: str, /, **changes: int | float | str) -> Scale:
    """One of ``SCALES``, with changes. Raises ValueError for another name."""
    if profile not in SCALES:
        raise ValueError(f"no profile called {profile!r}; there are {', '.join(SCALES)}.")
    return replace(SCALES[profile], **changes)
