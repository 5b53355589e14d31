"""The shared package of the course: what more than one topic needs, and nothing else.

Layers (a module imports only from the layers below it):

    training  claims  plots  models  vision   what notebooks call
    datasets  metrics  results                typed splits; scores; recorded runs
    data                                      one download function that cannot lie
    nn                                        the network library; NumPy alone
    history  profile  paths                   a training's record; sizes of a run; where things are

Importing ``utils`` imports none of them, so it costs a millisecond and neither torch nor
scikit-learn. ``ROOT`` is how the first cell of a notebook recognises that this is the course.
"""

from utils.paths import ROOT

__all__ = ["ROOT"]
