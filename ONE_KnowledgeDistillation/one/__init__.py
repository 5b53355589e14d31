"""ONE: knowledge distillation on the fly by a native ensemble (Lan, Zhu and Gong, NeurIPS 2018).

``models`` builds networks with branches and a gate, ``losses`` trains them, ``surgery`` grows and
joins them, ``voting`` asks them together, ``schedulers`` sets learning rates by gradients,
``experiments`` is the one table of what is compared, ``train`` and ``evaluate`` run it.
"""
