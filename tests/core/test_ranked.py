"""Claims about Ranked: however it was reached, it is the sorted list of what it holds."""

from hypothesis import given
from hypothesis import strategies as st

from scaletune.core.ranked import Key, Ranked

keys = st.tuples(st.booleans(), st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.integers(0, 20))
contents = st.dictionaries(keys, st.integers(), max_size=30)


@given(contents, st.randoms(use_true_random=False))
def test_any_order_of_insertion_gives_the_same_value(
    content: dict[Key, int], order: object
) -> None:
    entries = list(content.items())
    order.shuffle(entries)  # type: ignore[attr-defined]
    grown = Ranked()
    for key, item in entries:
        grown = grown.with_entry(key, item)

    assert grown == Ranked.of(content.items())


@given(contents, st.lists(keys, max_size=20))
def test_removing_leaves_what_was_never_removed(content: dict[Key, int], gone: list[Key]) -> None:
    ranked, left = Ranked.of(content.items()), dict(content)
    for key in gone:
        if key in left:
            ranked = ranked.without(key)
            del left[key]

    assert ranked == Ranked.of(left.items())


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


steps = st.tuples(st.integers(0, 1000), keys, st.one_of(st.none(), st.integers()))


@given(contents, st.lists(steps, max_size=20), st.randoms(use_true_random=False))
def test_every_version_stays_as_it_was_whichever_others_are_made_of_it_or_used(
    content: dict[Key, int], changes: list[tuple[int, Key, int | None]], order: object
) -> None:
    versions, expected = [Ranked.of(content.items())], [content]
    for of, key, item in changes:
        before, known = versions[of % len(versions)], expected[of % len(versions)]
        if item is not None:
            versions.append(before.with_entry(key, item))
            expected.append(known | {key: item})
        elif key in known:
            versions.append(before.without(key))
            expected.append({each: known[each] for each in known if each != key})

    each_twice = [*range(len(versions))] * 2
    order.shuffle(each_twice)  # type: ignore[attr-defined]
    for number in each_twice:
        assert list(versions[number].entries()) == sorted(expected[number].items())


@given(contents, st.lists(st.tuples(keys, st.integers()), max_size=9), st.booleans())
def test_going_through_the_entries_sees_no_change_made_meanwhile(
    content: dict[Key, int], changes: list[tuple[Key, int]], forwards: bool
) -> None:
    ranked = version = Ranked.of(content.items())
    seen = []
    for entry in ranked.entries() if forwards else ranked.backwards():
        seen.append(entry)
        for key, item in changes:
            version = version.with_entry(key, item)

    assert sorted(seen) == sorted(content.items())


def test_what_is_not_there_is_an_error() -> None:
    ranked = Ranked.of([((1,), "one")])

    for wrong in (lambda: ranked.without((2,)), lambda: ranked.at(1), lambda: ranked.at(-1)):
        try:
            wrong()
        except (KeyError, IndexError):
            continue
        raise AssertionError("no error")
