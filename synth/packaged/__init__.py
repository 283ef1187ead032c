"""The generator that comes with the package, and what is known of the cells it learned from."""
