"""What our formats write is what the makers' own code writes, shape by shape."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from chat_shape_parts import with_nine_letter_ids
from chat_shapes import SHAPES, first_difference
from oracles.makers import FOLDER, read_recordings

pytest.importorskip("pydantic")
pytest.importorskip("mistral_common")
from oracles.mistral import tokenizer_file, written_by_mistral

from chat.conversation import Conversation
from chat.formats.known import FORMATS, find_format
from chat.formats.rendering import (
    Segment,
    encode_conversation,
    encode_prompt,
    render,
    render_prompt,
)
from chat.tokenizers.tokenizer import Tokenizer

RECORDED = sorted(file.stem for file in FOLDER.glob("*.json") if file.stem in FORMATS)
# Mistral's code is run, the others' was recorded.
MISTRAL = [name for name in FORMATS if name.startswith("mistral")]

_REPLIES = "ours writes replies without the white space around them"
_ONE_CALL = (
    "LMFlow's layout has one call a turn; ours refuses several, a list is this recording's own"
)
_BESIDE = (
    "LMFlow's layout has no text beside a call, the recording makes two turns of it; ours refuses"
)
_SYSTEM = "LMFlow knows one system text, beside the turns; ours writes a later one as a turn"
_LMFLOW = {
    "white_space_around_replies": _REPLIES,
    "text_beside_a_call": _BESIDE,
    "a_later_system_text": _SYSTEM,
    "parallel_calls": _ONE_CALL,
    "parallel_calls_without_ids": _ONE_CALL,
    "results_in_another_order": _ONE_CALL,
    "consecutive_results": _ONE_CALL,
    "json_results_of_every_kind": _ONE_CALL,
}
# Shapes that ours writes otherwise than the maker, on purpose.
DIFFERENT: dict[str, dict[str, str]] = {
    "llama3_1": {"text_beside_a_call": "the template drops the text in silence; ours refuses"},
    "llama3_for_tool": _LMFLOW,
    "qwen2_for_tool": _LMFLOW,
    "mistral_v1": {
        name: "mistral-common drops the tools in silence; ours refuses"
        for name, shape in SHAPES.items()
        if shape.tools
    },
    "mistral_v3": {"white_space_around_replies": _REPLIES},
    "mistral_tekken": {"white_space_around_replies": _REPLIES},
    "qwen2_5": {"white_space_around_replies": _REPLIES},
    "qwen3": {
        "white_space_around_replies": _REPLIES,
        "two_turns_of_one_role": "the template gives a second reply a block of thoughts that it "
        "was not asked with; ours refuses",
    },
}


def made_by_makers(name: str) -> dict[str, dict[str, Any]]:
    """Return `whole` and `prompts` of each shape as the maker's code writes them."""
    return written_by_mistral(name) if name in MISTRAL else read_recordings(name)


def compared(
    name: str,
    whole: Callable[[Conversation], Any],
    prompt: Callable[[Conversation], Any],
) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield shape, what of it, what ours gives and what the maker's does; errors as None."""
    for shape, recorded in made_by_makers(name).items():
        conversation = with_nine_letter_ids(SHAPES[shape])
        yield shape, "whole", attempted(whole, conversation), without_error(recorded["whole"])
        for place, made in recorded["prompts"].items():
            before = replace(conversation, messages=conversation.messages[:place])
            yield shape, f"prompts[{place}]", attempted(prompt, before), without_error(made)


def attempted(write: Callable[[Conversation], Any], conversation: Conversation) -> Any:
    """Return what is written; None for a shape that the format cannot write."""
    try:
        return write(conversation)
    except ValueError:
        return None


def without_error(recorded: Any) -> Any:
    """Return what the maker's code wrote; None where it raised."""
    return None if isinstance(recorded, Mapping) and "error" in recorded else recorded


def text_of(segments: list[Segment]) -> str:
    """Return the text of segments."""
    return "".join(segment.text for segment in segments)


def differences(name: str) -> dict[str, str]:
    """Return, for each shape that is written otherwise, the first difference of texts."""
    format = find_format(name)
    found: dict[str, str] = {}
    for shape, what, ours, recorded in compared(
        name,
        lambda conversation: text_of(render(conversation, format)),
        lambda conversation: text_of(render_prompt(conversation, format)),
    ):
        theirs = recorded["text"] if isinstance(recorded, Mapping) else recorded
        if ours != theirs:
            found.setdefault(shape, f"{name}, {shape}, {what}: {explained(ours, theirs)}")
    return found


def explained(ours: str | None, theirs: str | None) -> str:
    """Return the first difference of two texts, either of which may be refused."""
    if ours is None or theirs is None:
        return f"{'ours' if ours is None else 'the maker'} refuses, the other writes"
    return first_difference(ours, theirs)


@pytest.mark.parametrize("name", [*RECORDED, *MISTRAL])
def test_texts_are_the_makers_own(name: str) -> None:
    known = DIFFERENT.get(name, {})
    unknown = [text for shape, text in differences(name).items() if shape not in known]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("name", [*RECORDED, *MISTRAL])
def test_listed_differences_are_there(name: str) -> None:
    assert DIFFERENT.get(name, {}).keys() <= differences(name).keys()


@pytest.mark.parametrize("name", MISTRAL)
def test_ids_are_those_of_mistral_common(name: str) -> None:
    format = find_format(name)
    tokenizer = format.load_tokenizer(tokenizer_file(name))
    for shape, what, ours, recorded in compared(
        name,
        lambda conversation: encode_conversation(conversation, format, tokenizer).ids,
        lambda conversation: encode_prompt(conversation, format, tokenizer),
    ):
        if ours and recorded and shape not in DIFFERENT.get(name, {}):
            assert first_difference_of_ids(ours, recorded["ids"], tokenizer) == "", (shape, what)


def first_difference_of_ids(ours: list[int], theirs: list[int], tokenizer: Tokenizer) -> str:
    """Return where ids part, and the texts around that place; empty when they are equal."""
    if ours == theirs:
        return ""
    pairs = enumerate(zip(ours, theirs, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    around = slice(max(place - 8, 0), place + 8)
    texts = [f"{ids[around]} {tokenizer.decode(ids[around])!r}" for ids in (ours, theirs)]
    return f"the ids differ from {place} on:\n  found  {texts[0]}\n  wanted {texts[1]}"


@pytest.mark.parametrize("name", ["llama3_for_tool", "qwen2_for_tool"])
def test_trained_texts_are_those_of_lmflow(name: str) -> None:
    """LMFlow trains a turn's header and last line's end too; ours its text and its end."""
    format = find_format(name)
    for shape, recorded in read_recordings(name).items():
        if "trained" in recorded["whole"] and shape not in DIFFERENT[name]:
            segments = render(marked_trained(SHAPES[shape]), format)
            theirs = "".join(recorded["whole"]["trained"])
            ours = text_of([segment for segment in segments if segment.trained])
            assert ours == theirs.replace(format.reply_opening, "").replace(
                "<|im_end|>\n", "<|im_end|>"
            )


def marked_trained(conversation: Conversation) -> Conversation:
    """Return a conversation of which every turn of the assistant is learnt."""
    messages = tuple(replace(message, trained=True) for message in conversation.messages)
    return replace(conversation, messages=messages)


def test_recordings_of_other_shapes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "no_tools", SHAPES["enum"])
    with pytest.raises(ValueError, match=r"record them again with .*record_templates\.py"):
        read_recordings("qwen2_5")


def test_difference_shows_both_texts_around_it() -> None:
    found = first_difference("the same, then this", "the same, then that")
    assert "from character 17 on" in found
    assert "found  'the same, then th' | 'is'" in found
    assert "wanted 'the same, then th' | 'at'" in found
