"""`python -m unikeras` is `unikeras`."""

from unikeras.cli import main

main()
