"""`python -m smearkit`."""

from .cli import main

main()
