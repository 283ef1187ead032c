"""A curated corpus in; a generator, a synthetic corpus and measurements out."""
