"""`python -m scaletune` is the `scaletune` command."""

from scaletune.cli import main

main()
