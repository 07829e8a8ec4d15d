"""`python -m framework` is the command."""

from framework.cli import main

main()
