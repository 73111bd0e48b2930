"""Sketches: their likeness estimates how many runs of words two texts share."""

import random

import pytest

from data.cleaning.similarity import BANDS, bands, similarity, sketch, words_of


def text(chance: random.Random, length: int) -> list[bytes]:
    return [b"word%d" % chance.randrange(5000) for _ in range(length)]


def runs(words: list[bytes]) -> set[tuple[bytes, ...]]:
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def test_words_do_not_depend_on_case_punctuation_or_space() -> None:
    assert words_of("Hi, it's 5.\n\nBye!") == words_of("hi it s  5 bye") == b"hi it s 5 bye".split()
    assert words_of("Grüße, ÉCOLE…") == ["grüsse".encode(), "école".encode()]
    assert words_of("天气 wie?") == ["天".encode(), "气".encode(), b"wie"]
    assert words_of("?!") == []


def test_sketch_bytes_never_change() -> None:
    # Another value here makes the reports of earlier versions differ from new ones.
    assert (
        sketch(words_of("the same words give the same bytes")).hex()[:24]
        == "830d8e915f392a2582e8f9c1"
    )
    assert sketch([]) == sketch([b""]) and len(sketch([b"a"])) == 64


def test_similarity_estimates_the_share_of_common_runs() -> None:
    chance = random.Random(1)
    errors = []
    for changed in range(1, 60):
        first = text(chance, 200)
        second = first[:]
        for at in chance.sample(range(200), changed):
            second[at] = b"other"
        a, b = runs(first), runs(second)
        errors.append(similarity(sketch(first), sketch(second)) - len(a & b) / len(a | b))
    assert abs(sum(errors) / len(errors)) < 0.03
    assert max(map(abs, errors)) < 0.2


@pytest.mark.parametrize(("changed", "least", "most"), [(2, 0.97, 1), (40, 0, 0.3)])
def test_bands_find_near_copies_and_few_other_texts(
    changed: int, least: float, most: float
) -> None:
    chance = random.Random(2)
    found = 0
    for _ in range(200):
        first = text(chance, 200)
        second = first[:]
        for at in chance.sample(range(200), changed):
            second[at] = b"other"
        pairs = zip(bands(sketch(first)), bands(sketch(second)), strict=True)
        found += any(a == b for a, b in pairs)
    assert least <= found / 200 <= most and BANDS == 4
