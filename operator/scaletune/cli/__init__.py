"""The command line: `scaletune plan | replay | simulate | validate | run | status | ...`.

Exit codes: 0 done, 1 what was run has failed, 2 the input is invalid. Nothing heavy is imported
before it is known which command is meant, so that `--help` and errors come at once.
"""

import sys
from pathlib import Path

from scaletune.cli.refusal import Refusal


def main() -> None:
    """The `scaletune` command, and `kubectl scaletune`."""
    from scaletune.cli.app import app

    try:
        app(prog_name=_name())
    except Refusal as refusal:
        sys.stderr.write(f"scaletune: {refusal}\n")
        sys.exit(2)


def _name() -> str:
    """As it was called: kubectl runs its plugins by a name of their own."""
    from scaletune.cli.subject import PLUGIN

    return "kubectl scaletune" if Path(sys.argv[0]).name == PLUGIN else "scaletune"
