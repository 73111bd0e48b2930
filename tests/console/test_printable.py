"""Text that others wrote is printed without control characters."""

from console.printable import printable


def test_control_characters_are_replaced_and_the_rest_is_kept() -> None:
    assert printable("a\x1b[31m\x00\x9b2J\r\x7f") == "a\ufffd[31m\ufffd\ufffd2J\ufffd\ufffd"
    assert printable("\tb\né 😀 \u202e") == "\tb\né 😀 \u202e"
