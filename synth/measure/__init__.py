"""Measurements of synthetic cells against real ones. A measurement is never a bare float."""
