"""What the keepers of the course run on its notebooks; students never need it."""
