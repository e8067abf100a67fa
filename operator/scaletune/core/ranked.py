"""Ranked: an immutable sorted collection that knows every entry's rank.

Adding, removing, the rank of a key and the entry at a rank all take O(log n), and the old value
stays as it was. It is a treap (Seidel and Aragon, 1996) whose priorities are a checksum of the
key, so its shape depends on its content alone: two that were reached by different ways are equal.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Key = tuple[Any, ...]


class _Node(NamedTuple):
    priority: tuple[int, Key]
    key: Key
    item: Any
    left: "_Node | None"
    right: "_Node | None"
    size: int


def _node(priority: tuple[int, Key], key: Key, item: Any, left: Any, right: Any) -> _Node:
    size = 1 + (left.size if left else 0) + (right.size if right else 0)
    return _Node(priority, key, item, left, right, size)


def _priority(key: Key) -> tuple[int, Key]:
    return zlib.crc32(repr(key).encode()), key


def _split(node: _Node | None, key: Key) -> tuple[_Node | None, _Node | None]:
    """All below the key, and all above it."""
    if node is None:
        return None, None
    if node.key < key:
        low, high = _split(node.right, key)
        return _node(node.priority, node.key, node.item, node.left, low), high
    low, high = _split(node.left, key)
    return low, _node(node.priority, node.key, node.item, high, node.right)


def _insert(node: _Node | None, new: _Node) -> _Node:
    if node is None:
        return new
    if node.key == new.key:
        return _node(node.priority, node.key, new.item, node.left, node.right)
    if new.priority > node.priority:
        low, high = _split(node, new.key)
        return _node(new.priority, new.key, new.item, low, high)
    if new.key < node.key:
        return _node(node.priority, node.key, node.item, _insert(node.left, new), node.right)
    return _node(node.priority, node.key, node.item, node.left, _insert(node.right, new))


def _merge(low: _Node | None, high: _Node | None) -> _Node | None:
    if low is None or high is None:
        return low or high
    if low.priority > high.priority:
        return _node(low.priority, low.key, low.item, low.left, _merge(low.right, high))
    return _node(high.priority, high.key, high.item, _merge(low, high.left), high.right)


def _remove(node: _Node | None, key: Key) -> _Node | None:
    if node is None:
        raise KeyError(key)
    if key == node.key:
        return _merge(node.left, node.right)
    if key < node.key:
        return _node(node.priority, node.key, node.item, _remove(node.left, key), node.right)
    return _node(node.priority, node.key, node.item, node.left, _remove(node.right, key))


def _build(entries: list[tuple[tuple[int, Key], Key, Any]]) -> _Node | None:
    """The treap of sorted entries in linear time: the right spine is kept on a stack."""
    spine: list[list[Any]] = []  # [priority, key, item, left] of nodes whose right side is open

    def close(upto: tuple[int, Key] | None) -> _Node | None:
        right: _Node | None = None
        while spine and (upto is None or spine[-1][0] < upto):
            priority, key, item, left = spine.pop()
            right = _node(priority, key, item, left, right)
        return right

    for priority, key, item in entries:
        left = close(priority)
        spine.append([priority, key, item, left])
    return close(None)


class Ranked:
    """Entries (key, item) in the order of their keys; keys are tuples and differ."""

    __slots__ = ("_root",)

    def __init__(self, root: _Node | None = None) -> None:
        self._root = root

    @classmethod
    def of(cls, entries: Iterable[tuple[Key, Any]]) -> "Ranked":
        """All entries at once, faster than one by one."""
        ordered = sorted(entries, key=lambda entry: entry[0])
        return cls(_build([(_priority(key), key, item) for key, item in ordered]))

    def __len__(self) -> int:
        return self._root.size if self._root else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranked) and list(self.entries()) == list(other.entries())

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, key: Key) -> bool:
        rank = self.rank(key)
        return rank < len(self) and self.at(rank)[0] == key

    def with_entry(self, key: Key, item: Any = None) -> "Ranked":
        """The same with this entry; it takes the place of one with the same key."""
        return Ranked(_insert(self._root, _node(_priority(key), key, item, None, None)))

    def without(self, key: Key) -> "Ranked":
        """The same without this key. Raises KeyError when it is not there."""
        return Ranked(_remove(self._root, key))

    def rank(self, key: Key) -> int:
        """How many keys are smaller."""
        smaller, node = 0, self._root
        while node is not None:
            if node.key < key:
                smaller += 1 + (node.left.size if node.left else 0)
                node = node.right
            else:
                node = node.left
        return smaller

    def at(self, rank: int) -> tuple[Key, Any]:
        """The entry with this rank, 0 being the smallest. Raises IndexError outside."""
        if not 0 <= rank < len(self):
            raise IndexError(rank)
        node = self._root
        while node is not None:
            below = node.left.size if node.left else 0
            if rank == below:
                return node.key, node.item
            if rank < below:
                node = node.left
            else:
                rank, node = rank - below - 1, node.right
        raise IndexError(rank)

    def get(self, key: Key) -> Any:
        """The item of a key, or None."""
        rank = self.rank(key)
        if rank < len(self):
            found, item = self.at(rank)
            if found == key:
                return item
        return None

    def entries(self, after: Key | None = None) -> Iterator[tuple[Key, Any]]:
        """All entries in order, or those with a key above `after`."""
        stack: list[_Node] = []
        node = self._root
        while stack or node is not None:
            while node is not None:
                if after is not None and node.key <= after:
                    node = node.right
                    continue
                stack.append(node)
                node = node.left
            if not stack:
                return
            node = stack.pop()
            yield node.key, node.item
            node = node.right

    def backwards(self) -> Iterator[tuple[Key, Any]]:
        """All entries from the largest key down."""
        stack: list[_Node] = []
        node = self._root
        while stack or node is not None:
            while node is not None:
                stack.append(node)
                node = node.right
            node = stack.pop()
            yield node.key, node.item
            node = node.left
