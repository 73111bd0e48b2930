"""A terminal's text as a picture: every line is in it, and nothing is fetched."""

import html
import re

from console.picture import terminal_picture

TEXT = "$ make demo\n│ a <table> & more │\n  indented"


def test_a_picture_holds_every_line_of_its_text() -> None:
    picture = terminal_picture(TEXT, 30)
    shown = [html.unescape(text) for text in re.findall(r"<text [^>]*>([^<]*)</text>", picture)]
    lines = [text.replace("\xa0", " ").rstrip() for text in shown if text.strip()]
    assert lines == TEXT.splitlines()


def test_a_picture_has_both_colours_and_fetches_nothing() -> None:
    picture = terminal_picture(TEXT, 30)
    assert "prefers-color-scheme: dark" in picture
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_the_same_text_gives_the_same_picture() -> None:
    assert terminal_picture(TEXT, 30) == terminal_picture(TEXT, 30)
