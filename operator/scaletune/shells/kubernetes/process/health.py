"""Health: what makes an operator alive, and ready, in words for whoever looks at a pod's Events.

Alive: the event loop turns (else there is no answer at all), the Lease is still tried for, and no
Study waits for ever. An API server that is away makes nobody dead: a restart would not bring it
back. Ready: standing by, or leading with everything in sight and the right to act.
"""

from collections.abc import Iterator
from typing import Final

from scaletune.shells.kubernetes.process.lease import Always, Lease
from scaletune.shells.kubernetes.shell import Shell

STUCK_SECONDS: Final = 300.0


class State:
    """What the operator's process is doing now."""

    def __init__(self, lease: Lease | Always) -> None:
        self.lease = lease
        self.shell: Shell | None = None
        """Set while leading."""

    def is_leading(self) -> bool:
        """Whether it may act now."""
        return self.shell is not None and self.lease.is_held

    def lives(self) -> Iterator[str]:
        """What only a restart can mend."""
        if not self.lease.is_alive:
            yield "the Lease has not been tried for: the election hangs"
        if self.shell is not None:
            stuck, seconds = self.shell.reconciler.oldest()
            if seconds > STUCK_SECONDS:
                yield f"the study {'/'.join(stuck)} has waited for {seconds:.0f} s"

    def is_ready(self) -> Iterator[str]:
        """What is missing for the operator to do its work."""
        if self.lease.problem is not None:
            yield self.lease.problem
        if self.shell is not None:
            if not self.lease.is_held:
                yield "the Lease was not renewed in time: nothing is written until it is"
            yield from self.shell.problems()
