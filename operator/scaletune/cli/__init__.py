"""The command line: `scaletune plan | replay | simulate | validate | run | status | ...`.

Exit codes: 0 done, 1 what was run has failed, 2 the input is invalid. Nothing heavy is imported
before it is known which command is meant, so that `--help` and errors come at once.
"""

import sys

from scaletune.cli.refusal import Refusal


def main() -> None:
    """The `scaletune` command."""
    from scaletune.cli.app import app

    try:
        app(prog_name="scaletune")
    except Refusal as refusal:
        sys.stderr.write(f"scaletune: {refusal}\n")
        sys.exit(2)
