"""The pages of reference are what the code says now."""

from pathlib import Path

import pytest

from scripts.write_reference import PAGES, main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_says(name: str) -> None:
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == PAGES[name](), "write it anew: python scripts/write_reference.py"


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    main(str(tmp_path))
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")} == set(PAGES)
