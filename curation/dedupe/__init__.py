"""Finding the same cell twice, whichever way it was turned, cut or encoded again."""
