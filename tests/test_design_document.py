"""docs/function-calling-design.md: its texts equal the rendered conversation."""

import json
import re
from pathlib import Path

from chat.conversation import Conversation
from chat.formats.known import find_format
from chat.formats.rendering import check_readable, render

TEXT = (Path(__file__).parents[1] / "docs" / "function-calling-design.md").read_text("utf-8")
(RECORD,) = re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)
BLOCKS = re.findall(r"```text\n(.*?)\n```", TEXT, re.DOTALL)
CONVERSATION = Conversation.from_record(json.loads(RECORD))
SEGMENTS = render(CONVERSATION, find_format("llama3"))


def test_the_record_round_trips_as_a_canonical_conversation() -> None:
    assert CONVERSATION.to_record() == json.loads(RECORD)
    check_readable(CONVERSATION, find_format("llama3"))


def test_the_text_blocks_are_the_pieces_of_the_rendered_conversation() -> None:
    *pieces, trained = BLOCKS
    rendered = "".join(segment.text for segment in SEGMENTS)
    assert len(pieces) == 3
    opening = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    announced, wrapper, turns = pieces
    assert rendered == f"{opening}{announced}\n\n{wrapper}<|eot_id|>{turns}"
    assert trained == "".join(segment.text for segment in SEGMENTS if segment.trained)


def test_the_tool_announcement_has_the_documented_size() -> None:
    tools = [tool["function"] for tool in json.loads(RECORD)["tools"]]
    shares = [len(BLOCKS[0]) / len(json.dumps(tools, indent=indent)) for indent in (4, None)]
    assert all(f"{share:.0%}" in TEXT for share in shares)
