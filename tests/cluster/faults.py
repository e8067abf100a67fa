"""What can go wrong with the test cluster, told so that the reader knows what to do next.

Two kinds are kept apart because they are handled differently: something that is missing on this
machine (a test that needs it is skipped with the remedy, or fails where nothing may be missing),
and a cluster that does not behave (always an error).
"""

from collections.abc import Sequence


class ClusterError(Exception):
    """The test cluster does not do what it should."""


class Missing(ClusterError):
    """Something this machine lacks; every entry says what it is and how to get it."""

    def __init__(self, remedies: Sequence[str]) -> None:
        self.remedies = tuple(remedies)
        super().__init__("The test cluster cannot start here: " + " ".join(self.remedies))
