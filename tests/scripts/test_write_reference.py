"""The pages of reference are what the code says now, and every setting has its sentence."""

from pathlib import Path

import pytest

from chat.formats.examples import TRAINED, written_example
from chat.formats.known import FORMATS
from scripts.write_reference import PAGES, main
from training.config import Config
from training.setting_names import setting_names
from training.setting_table import setting_groups

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_says(name: str) -> None:
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == PAGES[name](), "write it anew: python scripts/write_reference.py"


def test_every_setting_is_listed_once_with_its_sentence() -> None:
    groups = list(setting_groups(Config))
    listed = [setting.name for group in groups for setting in group.settings]
    sections = {group.name for group in groups}
    assert sorted(listed) == sorted(setting_names(Config).keys() - sections)
    assert [s.name for group in groups for s in group.settings if not s.sentence] == []


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_the_example_of_a_format_trains_its_last_turn_to_its_stop(format) -> None:
    for text in written_example(format):
        assert text.count(TRAINED[0]) == text.count(TRAINED[1]) >= 1
        last = text[text.rindex(TRAINED[0]) + 1 : text.rindex(TRAINED[1])]
        assert any(last.strip().endswith(stop) for stop in format.stop_tokens)


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    main(str(tmp_path))
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")} == set(PAGES)
