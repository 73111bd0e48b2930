"""Pictures of a report, drawn by a real browser where one is installed."""

import shutil
import struct
from pathlib import Path

import pytest

from scripts.take_screenshots import CHROMIUMS, HEIGHT, SHOTS, main


def size_of(picture: Path) -> tuple[int, int]:
    """The width and height in a PNG's header."""
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.skipif(not any(map(shutil.which, CHROMIUMS)), reason="no Chromium is installed")
def test_three_pictures_of_a_page_are_drawn(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(
        "<style>@media (prefers-color-scheme: dark) { body { background: #000 } }</style>"
    )
    main(str(page), str(tmp_path / "images"))
    pictures = {name: tmp_path / f"images/report-{name}.png" for name, _, _ in SHOTS}
    assert [size_of(pictures[name]) for name, _, width in SHOTS] == [
        (width, HEIGHT) for _, _, width in SHOTS
    ]
    assert pictures["light"].read_bytes() != pictures["dark"].read_bytes()


def test_a_missing_browser_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "report.html"
    page.write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no browser is installed, wanted one of chromium"):
        main(str(page), str(tmp_path))


def test_a_missing_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone.html is missing; name a page"):
        main(str(tmp_path / "gone.html"))


def test_a_browser_that_draws_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, browser = tmp_path / "report.html", tmp_path / "chromium"
    page.write_text("")
    browser.write_text("#!/bin/sh\necho no screen >&2\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ValueError, match=r"drew no picture of .*report.html: no screen"):
        main(str(page), str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "chromium"}
