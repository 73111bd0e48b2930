"""The example of each chat format, as the page of reference shows it."""

import pytest

from chat.formats import examples
from chat.formats.examples import TRAINED, written_example
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.known import FORMATS


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_the_example_of_a_format_trains_its_last_turn_to_its_stop(format: ChatFormat) -> None:
    for text in written_example(format):
        assert text.count(TRAINED[0]) == text.count(TRAINED[1]) >= 1
        last = text[text.rindex(TRAINED[0]) + 1 : text.rindex(TRAINED[1])]
        assert any(last.strip().endswith(stop) for stop in format.stop_tokens)


def test_a_format_that_writes_no_part_of_the_example_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise CannotWrite("nothing can be written")

    monkeypatch.setattr(examples, "check_writable", refuse)
    with pytest.raises(ValueError, match="llama3 writes nothing of the example"):
        written_example(FORMATS["llama3"])
