"""The course's application: draw, and watch its own networks recognise what you draw."""
