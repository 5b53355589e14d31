"""Marks for a student's file: ``python -m utils.grading TASK FILE``.

``criteria`` is what a task consists of, ``part1`` and ``part2`` are the tasks of the course,
``running`` runs a file at arm's length, ``reports`` says what was found. It is a marking aid, not a
sandbox: a file that is out to cheat or to do harm is not stopped by it.
"""
