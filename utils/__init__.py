"""The shared package of the course: what more than one topic needs, and nothing else.

Layers (a module imports only from the layers below it)::

    transfer                                         borrowed backbones and new heads
    networks  backbones                              networks that several topics use
    training  claims  plots  models  leaks           what notebooks call
    grading                                          marks for students' files
    digits  drawings  kaggle  photos  vision         what is drawn, filed, photographed; torchvision
    course_files                                     inputs of the Python & ML course's tasks
    datasets  metrics  results                       typed splits; scores; recorded runs
    data  checkpoints                                downloads that cannot lie; states of a training
    centring                                         a digit in MNIST's own form; NumPy alone
    nn                                               the network library; NumPy alone
    history  profile  paths                          a training's record; sizes; where things are

Importing ``utils`` imports none of them, so it costs a millisecond and neither torch nor
scikit-learn. ``ROOT`` is how the first cell of a notebook recognises that this is the course.
"""

from utils.paths import ROOT

__all__ = ["ROOT"]
