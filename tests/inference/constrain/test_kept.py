"""Values are kept while together they are light enough, and made again after that."""

from inference.constrain.kept import Kept


def test_value_is_made_once_until_all_are_too_heavy() -> None:
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text

    kept = Kept[str](10)
    for text in ("aaaa", "bbbb", "aaaa", "cccc", "cccc", "aaaa"):
        assert kept.find(text, lambda text=text: make(text), len) == text
        assert kept.weight <= 10
    assert made == ["aaaa", "bbbb", "cccc", "aaaa"]


def test_value_that_is_too_heavy_alone_is_returned() -> None:
    kept = Kept[str](10)
    assert kept.find(0, lambda: "a" * 50, len) == "a" * 50
    assert kept.find(1, lambda: "b", len) == "b" and kept.weight == 1
