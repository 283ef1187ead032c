"""Corpora and measurements become reports, cards and releases. Nothing here computes a measure."""
