"""Claims about random streams: named, not shared, and the same in every process."""

from itertools import product

from scaletune.core.seeds import stream, trial_seed


def test_a_stream_is_named_by_seed_index_and_purpose() -> None:
    names = list(product((0, 1), (0, 1, 10), ("learning_rate", "width")))

    assert len({stream(*name).random() for name in names}) == len(names)


def test_a_stream_starts_where_it_always_did() -> None:
    assert stream(0, 0, "learning_rate").random() == 0.8952929172596179
    assert stream(7, 123, "x").random() == stream(7, 123, "x").random()


def test_drawing_from_one_stream_moves_no_other() -> None:
    other = stream(0, 1, "width")
    other.random()

    assert stream(0, 1, "depth").random() == stream(0, 1, "depth").random()
    assert other.random() != stream(0, 1, "width").random()


def test_the_seed_of_a_training_fits_everywhere() -> None:
    seeds = [trial_seed(0, index) for index in range(1000)]

    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == 1000
