"""Finding the same cell twice."""
