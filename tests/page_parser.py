"""A page as a browser would read it: its tags in order, all closed, and its text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "br"}


@dataclass
class Page:
    """What a page holds; `attributes` of each tag, `text` of everything outside its style."""

    tags: list[str] = field(default_factory=list)
    attributes: list[dict[str, str | None]] = field(default_factory=list)
    text: str = ""

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each such tag."""
        return [a for t, a in zip(self.tags, self.attributes, strict=True) if t == tag]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append(tag)
        self.page.attributes.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.page.text += data


def read_page(text: str) -> Page:
    """Read a page; every tag must be closed in order, nothing run and nothing loaded."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    page = reader.page
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    for attributes in page.attributes:
        assert not {"src", "href"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    return page
