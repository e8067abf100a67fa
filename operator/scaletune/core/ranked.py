"""Ranked: an immutable sorted collection that knows every entry's rank.

A change makes a new value, and the old one stays as it was; yet there is one sorted list for all
versions of it, which makes a change a binary search and one move of memory. The list has the
content of the version that was used last. Each other version knows the next one on the way there
and what to change back to come from it (Baker's trick, 1991): going on from the latest version is
fast, going back costs as many steps as were made since, and nobody can tell from outside.

Only one thread may use versions of the same collection, and one that was interrupted by an error
from outside, in the middle of a change, is not to be used again.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any, Final

Key = tuple[Any, ...]
_ABSENT: Final = object()
_AT_ONCE: Final = 64  # entries of an iteration that are looked up together


class _Content:
    """The entries of one version."""

    __slots__ = ("items", "keys")

    def __init__(self, items: dict[Key, Any]) -> None:
        self.items, self.keys = items, sorted(items)

    def put(self, key: Key, item: Any) -> Any:
        """Set an entry, or remove it (_ABSENT); what was there before."""
        before = self.items.get(key, _ABSENT)
        if item is _ABSENT:
            del self.items[key], self.keys[bisect_left(self.keys, key)]
        else:
            if before is _ABSENT:
                insort(self.keys, key)
            self.items[key] = item
        return before


class Ranked:
    """Entries (key, item) in the order of their keys; keys are tuples and differ."""

    __slots__ = ("_content", "_nearer")

    def __init__(self, items: dict[Key, Any] | None = None) -> None:
        self._content: _Content | None = _Content({} if items is None else items)
        # The next version on the way to the one that has the content, and what to change there.
        self._nearer: tuple[Ranked, Key, Any] | None = None

    @classmethod
    def of(cls, entries: Iterable[tuple[Key, Any]]) -> "Ranked":
        """All entries at once, faster than one by one."""
        return cls(dict(entries))

    def __len__(self) -> int:
        return len((self._content or self._brought()).keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranked) and list(self.entries()) == list(other.entries())

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, key: Key) -> bool:
        return key in (self._content or self._brought()).items

    def with_entry(self, key: Key, item: Any = None) -> "Ranked":
        """The same with this entry; it takes the place of one with the same key."""
        return self._changed(key, item)

    def without(self, key: Key) -> "Ranked":
        """The same without this key. Raises KeyError when it is not there."""
        return self._changed(key, _ABSENT)

    def rank(self, key: Key) -> int:
        """How many keys are smaller."""
        return bisect_left((self._content or self._brought()).keys, key)

    def at(self, rank: int) -> tuple[Key, Any]:
        """The entry with this rank, 0 being the smallest. Raises IndexError outside."""
        if rank < 0:
            raise IndexError(rank)
        content = self._content or self._brought()
        key = content.keys[rank]
        return key, content.items[key]

    def get(self, key: Key) -> Any:
        """The item of a key, or None."""
        return (self._content or self._brought()).items.get(key)

    def entries(self, after: Key | None = None) -> Iterator[tuple[Key, Any]]:
        """All entries in order, or those with a key above `after`."""
        start = 0 if after is None else bisect_right((self._content or self._brought()).keys, after)
        while some := (self._content or self._brought()).keys[start : start + _AT_ONCE]:
            for key in some:  # new versions may be made meanwhile
                yield key, (self._content or self._brought()).items[key]
            start += _AT_ONCE

    def backwards(self) -> Iterator[tuple[Key, Any]]:
        """All entries from the largest key down."""
        return (self.at(rank) for rank in reversed(range(len(self))))

    def _changed(self, key: Key, item: Any) -> "Ranked":
        if not (self._content or self._brought()).keys and item is not _ABSENT:
            return Ranked({key: item})  # an empty one is shared by many that have nothing in common
        new = Ranked.__new__(Ranked)
        self._hand_over(new, key, item)
        return new

    def _brought(self) -> _Content:
        """The content, brought to this version; most often it is here already."""
        if self._content is None:
            way, version = [], self
            while version._nearer is not None:
                way.append(version)
                version = version._nearer[0]
            for older in reversed(way):
                assert older._nearer is not None
                newer, key, item = older._nearer
                newer._hand_over(older, key, item)
        assert self._content is not None
        return self._content

    def _hand_over(self, to: "Ranked", key: Key, item: Any) -> None:
        """Another version gets the content, which differs from this one by an entry."""
        content = self._content
        assert content is not None
        before = content.put(key, item)
        self._content, self._nearer = None, (to, key, before)
        to._content, to._nearer = content, None


class Joined:
    """A collection with one more key, looked at without a change to it."""

    __slots__ = ("_key", "_others", "_place")

    def __init__(self, others: Ranked, key: Key) -> None:
        self._others, self._key, self._place = others, key, others.rank(key)

    def __len__(self) -> int:
        return len(self._others) + 1

    def rank(self, key: Key) -> int:
        """How many keys are smaller."""
        return self._others.rank(key) + (self._key < key)

    def at(self, rank: int) -> tuple[Key, Any]:
        """The entry with this rank. Raises IndexError outside."""
        if rank == self._place:
            return self._key, None
        return self._others.at(rank - (rank > self._place))


def spread(count: int, most: int) -> list[int]:
    """Ranks of `count` entries: all, or the first ones, and of the others some that lie evenly."""
    if count <= most:
        return list(range(count))
    first = most // 2
    rest = most - first
    return [*range(first), *(first + i * (count - first) // rest for i in range(rest))]
