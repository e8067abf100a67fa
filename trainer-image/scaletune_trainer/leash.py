"""Become the user's command, on a leash: the kernel kills it when its parent dies.

Run as a file, without `site`, between PID 1 and each worker, because torchrun starts its workers
itself and offers no place for this. It also connects the worker's standard error with the pipe
that PID 1 made for its rank, so that the last words of a failing rank can be quoted. Then it is
replaced by the command; nothing of it stays in memory. It imports nothing of this package.

    leash.py PARENT_PID FOLDER COMMAND...
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, folder, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the process that started this worker has gone")  # before the leash was on
    pipe = os.path.join(folder, "stderr-" + os.environ.get("LOCAL_RANK", "0"))
    if os.path.exists(pipe):
        descriptor = os.open(pipe, os.O_WRONLY)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(
            f"cannot start {command[0]!r}: {error.strerror}. "
            "Is it in the image, on the PATH and executable?\n"
        )
        sys.exit(127)


if __name__ == "__main__":
    main()
