"""Pixels and nothing else: what may leave, what is pseudonymised, and the proof of it."""
