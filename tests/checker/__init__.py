"""The notebook checker: nbval, with numbers compared as numbers and pictures as pictures."""
