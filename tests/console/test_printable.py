"""Text that others wrote is made of characters that a terminal shows and does not obey."""

import pytest

from console.printable import printable


def test_control_and_direction_characters_are_replaced_one_by_one() -> None:
    assert printable("a\x1b[31m\x00\x9b2J\r\x7f") == "a\ufffd[31m\ufffd\ufffd2J\ufffd\ufffd"
    assert printable("\u202e\u2066\u200f\u061c\u2028\ud800\U000e0041") == "\ufffd" * 7


@pytest.mark.parametrize("text", ["\tb\né 😀", "👩‍👩‍👧", "می‌خواهم", "שלום", "नमस्ते", "a\u00adb"])
def test_text_of_any_script_is_kept(text: str) -> None:
    assert printable(text) == text
