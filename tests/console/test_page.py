"""A page shows every text literally and runs none."""

from page_parser import read_page

from console.page import document, shown, table

HOSTILE = "</pre></style><script>alert(1)</script><img src=x onerror=alert(1)>\x00\x1b[31m"


def test_every_text_is_shown_escaped() -> None:
    page = read_page(document(HOSTILE, [table([HOSTILE], [[HOSTILE]]), shown(HOSTILE)]))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count("<script>alert(1)</script>") == 5
    assert "\x1b" not in page.text and "␛[31m" in page.text and "␀" in page.text


def test_newlines_and_tabs_are_kept() -> None:
    assert shown("a\n\tb") == "a\n\tb"


def test_the_page_forbids_loading_and_running_anything() -> None:
    text = document("x", [])
    assert "default-src 'none'" in text
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text
    assert "url(" not in text and "@import" not in text
