"""Loads the notebook checker for every run of pytest from here."""

pytest_plugins = ["tests.checker.plugin"]
