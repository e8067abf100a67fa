"""Runs the `scaletune` command as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def scaletune(
    *arguments: str | Path, stdin: str = "", environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The finished command, with what it printed; `environment` adds to ours."""
    return subprocess.run(
        [sys.executable, "-m", "scaletune", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def scaletune_json(*arguments: str | Path) -> Any:
    """What the command printed as JSON."""
    done = scaletune(*arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
