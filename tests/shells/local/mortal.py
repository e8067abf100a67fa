"""python -m tests.shells.local.mortal N ARGUMENTS: the `scaletune` command, killed at a write.

It dies without a word at its N-th `fsync`, as if by SIGKILL: every stored write has one, so that N
chooses between which two writes it is killed. Even N die before the data is safe, odd ones after.
"""

import os
import signal
import sys

from scaletune.cli import main


def die_at(count: int) -> None:
    """Replace os.fsync by one that ends this process."""
    left, sync = count, os.fsync

    def mortal(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left > 0 or count % 2:
            sync(descriptor)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = mortal  # type: ignore[assignment]


if __name__ == "__main__":
    die_at(int(sys.argv.pop(1)))
    main()
