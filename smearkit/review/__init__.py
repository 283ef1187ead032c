"""The review: a local page on which a person decides about quarantined images."""
