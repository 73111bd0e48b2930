from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_lines import problem_of

from benchmarks import verdicts
from benchmarks.verdicts import Place, preference, rejection_sampling, rewards, supervised
from benchmarks.verdicts_picture import PICTURE, RESULTS, picture


def test_every_way_is_made_of_valid_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def command(line: str) -> float:
        lines.append(line)
        return 1.0

    monkeypatch.setattr(verdicts, "command", command)
    place = Place(tmp_path, tmp_path / "own", 4)
    verdicts.write_conversations(place)
    ways = (supervised, rewards, rejection_sampling, preference)
    trained = [one for way in ways for one in way(place)]
    assert [problem_of(f"python {line}") for line in lines] == [""] * len(lines)
    assert len({str(adapter) for _, adapter, _ in trained}) == len(trained) == 7


def test_the_committed_picture_is_that_of_the_committed_results() -> None:
    assert list(RESULTS.glob("verdicts_seed*.json"))
    drawn = picture()
    assert PICTURE.read_text() == drawn
    # It is well-formed, and no point lies outside its panel.
    for circle in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.attrib["cx"]) < 760
        assert 0 < float(circle.attrib["cy"]) < 330
