"""Claims about Ranked: however it was reached, it is the sorted list of what it holds."""

from hypothesis import given
from hypothesis import strategies as st

from scaletune.core.ranked import Key, Ranked

keys = st.tuples(st.booleans(), st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.integers(0, 20))
contents = st.dictionaries(keys, st.integers(), max_size=30)


@given(contents, st.randoms(use_true_random=False))
def test_any_order_of_insertion_gives_the_same_value_and_the_same_shape(
    content: dict[Key, int], order: object
) -> None:
    entries = list(content.items())
    order.shuffle(entries)  # type: ignore[attr-defined]
    grown = Ranked()
    for key, item in entries:
        grown = grown.with_entry(key, item)

    assert grown == Ranked.of(content.items())
    assert grown._root == Ranked.of(entries)._root


@given(contents, st.lists(keys, max_size=20))
def test_removing_leaves_what_was_never_removed(content: dict[Key, int], gone: list[Key]) -> None:
    ranked, left = Ranked.of(content.items()), dict(content)
    for key in gone:
        if key in left:
            ranked = ranked.without(key)
            del left[key]

    assert ranked == Ranked.of(left.items())
    assert ranked._root == Ranked.of(left.items())._root


@given(contents, keys)
def test_rank_place_and_order_are_those_of_the_sorted_list(
    content: dict[Key, int], other: Key
) -> None:
    ranked, listed = Ranked.of(content.items()), sorted(content.items())

    assert list(ranked.entries()) == listed
    assert list(ranked.backwards()) == listed[::-1]
    assert len(ranked) == len(listed)
    assert [ranked.at(rank) for rank in range(len(ranked))] == listed
    assert ranked.rank(other) == sum(key < other for key, _ in listed)
    assert (other in ranked) == (other in content)
    assert ranked.get(other) == content.get(other)


@given(contents, keys)
def test_entries_after_a_key_are_those_above_it(content: dict[Key, int], after: Key) -> None:
    found = list(Ranked.of(content.items()).entries(after=after))

    assert found == [entry for entry in sorted(content.items()) if entry[0] > after]


@given(contents, keys, st.integers())
def test_a_change_makes_a_new_value_and_leaves_the_old_one(
    content: dict[Key, int], key: Key, item: int
) -> None:
    before = Ranked.of(content.items())
    after = before.with_entry(key, item)

    assert list(before.entries()) == sorted(content.items())
    assert list(after.entries()) == sorted((content | {key: item}).items())


def test_what_is_not_there_is_an_error() -> None:
    ranked = Ranked.of([((1,), "one")])

    for wrong in (lambda: ranked.without((2,)), lambda: ranked.at(1), lambda: ranked.at(-1)):
        try:
            wrong()
        except (KeyError, IndexError):
            continue
        raise AssertionError("no error")
