"""Licence plates: drawn, damaged and read."""
