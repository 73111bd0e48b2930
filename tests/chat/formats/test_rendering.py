"""Chat formats: golden texts, and properties that hold for every format."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS, find_format
from chat.formats.rendering import (
    Segment,
    Turn,
    parse_reply,
    render,
    render_prompt,
    stop_ids,
    tokenize,
    unreadable_turns,
)
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.special_tokens import SPECIAL_TABLES
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

# Formats unlike llama3: text without special tokens around the roles, white space after
# the trained stop token, tools in the user's turn, a system text of the format's own.
MADE_UP = {
    "plain_text": ChatFormat(
        name="plain_text",
        special_table="llama3",
        special_tokens=("<|end_of_text|>",),
        begin="",
        turns={
            "system": Turn("SYSTEM: ", "\n\n\n"),
            "user": Turn("USER: ", "\n\n\n"),
            "assistant": Turn("ASSISTANT: ", " <|end_of_text|>", "\n\n\n"),
            "tool": Turn("FUNCTION RESPONSE: ", "\n\n\n"),
        },
        stop_tokens=("<|end_of_text|>",),
        tool_syntax="namespace",
        default_system="You are a helpful assistant.",
    ),
    "marked_turns": ChatFormat(
        name="marked_turns",
        special_table="llama3_1",
        special_tokens=("<|step_id|>", "<|eom_id|>"),
        begin="",
        turns={
            role: Turn(f"<|step_id|>{role}\n", "<|eom_id|>", "\n")
            for role in ("system", "user", "assistant", "tool")
        },
        stop_tokens=("<|eom_id|>", "<|end_of_text|>"),
        tool_syntax="namespace",
        tools_in="user",
    ),
}
ROWS = {**FORMATS, **MADE_UP}
LLAMA3 = FORMATS["llama3"]


def text_of(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def marked(segments: list[Segment]) -> str:
    """The text with ⟦ ⟧ around what is trained."""
    text = "".join(f"⟦{segment.text}⟧" if segment.trained else segment.text for segment in segments)
    return text.replace("⟧⟦", "")


@pytest.fixture(scope="module", params=ROWS.values(), ids=ROWS)
def row(request: pytest.FixtureRequest) -> ChatFormat:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(row: ChatFormat, ranks_file: Path) -> Tokenizer:
    return load_tokenizer(ranks_file, row.special_table)


class TestGolden:
    @pytest.mark.parametrize("name", FORMATS)
    def test_rendered_shape_equals_its_golden_file(
        self, name: str, shape: Conversation, request: pytest.FixtureRequest
    ) -> None:
        """Write new files with UPDATE_GOLDEN=1, then read them."""
        shape_name = request.node.callspec.id.removeprefix(f"{name}-").removesuffix(f"-{name}")
        file = Path(__file__).parent / "golden" / name / f"{shape_name}.txt"
        written = marked(render(shape, FORMATS[name]))
        if os.environ.get("UPDATE_GOLDEN"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(written, encoding="utf-8", newline="")
        assert written == file.read_bytes().decode()


class TestEveryRow:
    def test_format_tokens_exist_in_tokenizer(self, row: ChatFormat, tokenizer: Tokenizer) -> None:
        assert set(row.turns) == {"system", "user", "assistant", "tool"}
        assert {*row.special_tokens, *row.stop_tokens} <= set(tokenizer.special_tokens)
        assert stop_ids(row, tokenizer)
        assert row.turns["assistant"].closing.strip() in row.stop_tokens

    def test_each_trained_turn_ends_in_its_only_stop_token(
        self, row: ChatFormat, tokenizer: Tokenizer, shape: Conversation
    ) -> None:
        tokens = tokenize(render(shape, row), tokenizer)
        assert len(tokens.ids) == len(tokens.trained)
        stops = stop_ids(row, tokenizer)
        runs, current = [], []
        for token, trained in zip(tokens.ids, tokens.trained, strict=True):
            if trained:
                current.append(token)
                if token in stops:
                    runs.append(current)
                    current = []
            assert trained or not current, "a trained run ended without a stop token"
        assistants = [message for message in shape.messages if message.role == "assistant"]
        assert not current and len(runs) == len(assistants)
        for run, message in zip(runs, assistants, strict=True):
            reply = parse_reply(tokenizer.decode(run[:-1]), row)
            assert reply.problem is None
            assert reply.content == message.content.strip()
            assert [(call.name, call.arguments) for call in reply.tool_calls] == [
                (call.name, call.arguments) for call in message.tool_calls
            ]

    def test_earlier_turns_render_the_same_whatever_follows(
        self, row: ChatFormat, shape: Conversation
    ) -> None:
        whole = marked(render(shape, row))
        first = next(i for i, message in enumerate(shape.messages) if message.role == "user")
        for count in range(first + 1, len(shape.messages)):
            part = marked(render(replace(shape, messages=shape.messages[:count]), row))
            assert whole.startswith(part)

    def test_prompt_is_a_prefix_of_the_training_sequence(
        self, row: ChatFormat, tokenizer: Tokenizer, shape: Conversation
    ) -> None:
        for i, message in enumerate(shape.messages):
            if message.role != "assistant":
                continue
            before = tokenize(
                render_prompt(replace(shape, messages=shape.messages[:i]), row), tokenizer
            )
            after = tokenize(
                render(replace(shape, messages=shape.messages[: i + 1]), row), tokenizer
            )
            assert after.ids[: len(before.ids)] == before.ids
            assert after.trained[: len(before.ids)] == before.trained
            assert after.trained[len(before.ids)], "the reply begins where the prompt ends"

    @settings(max_examples=100, deadline=None)
    @given(data=st.data())
    def test_conversation_text_never_becomes_a_special_token(
        self, row: ChatFormat, tokenizer: Tokenizer, data: st.DataObject
    ) -> None:
        names = st.sampled_from(SPECIAL_TABLES[row.special_table][:12])
        text = st.lists(names | st.text("ab \n<|>", max_size=5), max_size=4).map("".join)
        draw = data.draw
        arguments = {draw(text): draw(text), "nested": [{draw(text): [draw(text)]}]}
        schema = {"properties": {draw(text): {"default": draw(text), "description": draw(text)}}}
        conversation = Conversation(
            (
                Message("system", draw(text)),
                Message("user", draw(text)),
                Message("assistant", draw(text), (ToolCall(draw(text), arguments),)),
                Message("tool", draw(text)),
                Message("assistant", draw(text)),
            ),
            (Tool(draw(text), draw(text), schema),),
        )
        harmless = Conversation(
            tuple(Message(message.role, "x") for message in conversation.messages),
            conversation.tools,
        )
        special = set(tokenizer.special_tokens.values())
        counts = [
            [token for token in tokenize(render(dialog, row), tokenizer).ids if token in special]
            for dialog in (conversation, harmless)
        ]
        assert counts[0] == counts[1]

    def test_every_tool_is_announced_once(self, row: ChatFormat, shape: Conversation) -> None:
        text = text_of(render(shape, row))
        assert text.count("namespace functions {") == bool(shape.tools)
        for tool in shape.tools:
            assert f"type {tool.name} = (" in text

    def test_adjacent_text_segments_are_merged_unless_their_training_differs(
        self, row: ChatFormat, shape: Conversation
    ) -> None:
        segments = render(shape, row)
        assert all(segment.text for segment in segments)
        for one, next_one in pairwise(segments):
            alike = one.trained == next_one.trained
            assert one.special or next_one.special or not alike


class TestLlama3:
    def test_ids_equal_those_of_the_whole_text_encoded_at_once(
        self, llama3: TiktokenTokenizer, shape: Conversation
    ) -> None:
        segments = render(shape, LLAMA3)
        whole = llama3.encoding.encode(text_of(segments), allowed_special="all")
        # Encoded at once, special-token text in the conversation would become special ids.
        brought = any("<|" in segment.text for segment in segments if not segment.special)
        assert (tokenize(segments, llama3).ids == whole) is not brought

    @settings(max_examples=200, deadline=None)
    @given(
        texts=st.lists(
            st.text(st.characters(exclude_categories=["Cs"])) | st.text("\r\n \t\x1c\x85'sA1!{"),
            min_size=3,
            max_size=3,
        )
    )
    def test_segment_borders_do_not_change_token_ids(
        self, llama3: TiktokenTokenizer, texts: list[str]
    ) -> None:
        roles = ("user", "assistant", "tool")
        # Without "|" no text can hold the name of a special token.
        messages = tuple(
            Message(role, text.replace("|", "")) for role, text in zip(roles, texts, strict=True)
        )
        segments = render(Conversation(messages), LLAMA3)
        whole = llama3.encoding.encode(text_of(segments), allowed_special="all")
        assert tokenize(segments, llama3).ids == whole

    def test_short_conversation_has_the_expected_ids_and_mask(
        self, llama3: TiktokenTokenizer
    ) -> None:
        conversation = Conversation((Message("user", "Hello world"), Message("assistant", "Hello")))
        tokens = tokenize(render(conversation, LLAMA3), llama3)
        assert tokens.ids == [
            128000, 128006, 882, 128007, 271, 9906, 1917, 128009,
            128006, 78191, 128007, 271, 9906, 128009,
        ]  # fmt: skip
        assert tokens.trained == [False] * 12 + [True] * 2
        assert stop_ids(LLAMA3, llama3) == (128009, 128001)

    def test_missing_end_of_text_token_leaves_only_the_trained_stop(self) -> None:
        class Short:
            path, special_tokens = Path("short.model"), {"<|eot_id|>": 7}

        assert stop_ids(LLAMA3, Short()) == (7,)  # type: ignore[arg-type]
        assert LLAMA3.stop_tokens == ("<|eot_id|>",)


class TestRendering:
    def test_tools_without_a_system_message_create_one(self) -> None:
        tools = (Tool("f"),)
        alone = text_of(render(Conversation((Message("user", "Hi"),), tools), LLAMA3))
        system = Message("system", "")
        empty = text_of(render(Conversation((system, Message("user", "Hi")), tools), LLAMA3))
        assert alone == empty
        assert alone.startswith(
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n# Tools\n\n"
        )

    def test_default_system_text_is_used_only_when_none_is_given(self) -> None:
        row = MADE_UP["plain_text"]
        own = Conversation((Message("system", "Be brief."), Message("user", "Hi")))
        assert text_of(render(own, row)) == "SYSTEM: Be brief.\n\n\nUSER: Hi\n\n\n"
        none = Conversation((Message("user", "Hi"),))
        assert text_of(render(none, row)).startswith("SYSTEM: You are a helpful assistant.\n\n\n")

    def test_format_may_announce_tools_in_the_first_user_message(self) -> None:
        messages = (Message("user", "Hi"), Message("assistant", "Yes"), Message("user", "Go"))
        text = text_of(render(Conversation(messages, (Tool("f"),)), MADE_UP["marked_turns"]))
        assert text.startswith("<|step_id|>user\n# Tools\n\n## functions")
        assert text.count("# Tools") == 1
        assert "multi_tool_use\n\nHi<|eom_id|>\n<|step_id|>assistant\nYes<|eom_id|>\n" in text
        with pytest.raises(ValueError, match=r"in the first user message, and the .* has none"):
            render(Conversation(messages[1:2], (Tool("f"),)), MADE_UP["marked_turns"])

    def test_white_space_is_kept_when_strip_is_false(self) -> None:
        row = replace(LLAMA3, strip=False)
        text = text_of(render(Conversation((Message("user", " Hi \n"),)), row))
        assert text.endswith("<|end_header_id|>\n\n Hi \n<|eot_id|>")

    def test_prompt_ends_with_the_opening_of_an_assistant_turn(self) -> None:
        prompt = render_prompt(Conversation((Message("user", "Hi"),)), LLAMA3)
        assert text_of(prompt) == (
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        )
        assert not any(segment.trained for segment in prompt)

    def test_segments_carry_the_role_of_their_turn(self) -> None:
        segments = render(Conversation((Message("user", "Hi"), Message("assistant", "Yo"))), LLAMA3)
        assert [segment.role for segment in segments] == ["", *["user"] * 5, *["assistant"] * 6]
        assert segments[-2:] == [
            Segment("Yo", False, True, "assistant"),
            Segment("<|eot_id|>", True, True, "assistant"),
        ]


class TestErrors:
    def test_unknown_format_error_suggests_the_nearest_name(self) -> None:
        assert find_format("llama3") is LLAMA3
        with pytest.raises(ValueError, match=r"unknown chat format 'lama3'; did you mean llama3\?"):
            find_format("lama3")
        with pytest.raises(ValueError, match="unknown chat format 'xyz'; wanted one of llama3"):
            find_format("xyz")

    def test_tokenizer_without_the_special_tokens_is_refused(self, ranks_file: Path) -> None:
        tokenizer = load_tokenizer(ranks_file, "llama3")
        row = MADE_UP["marked_turns"]
        with pytest.raises(ValueError, match=r"has no special token <\|step_id\|>, which the chat"):
            tokenize(render(Conversation((Message("user", "Hi"),)), row), tokenizer)
        with pytest.raises(ValueError, match=r"has no special token <\|eom_id\|>"):
            stop_ids(row, tokenizer)


class TestUnreadableTurns:
    def test_every_shape_can_be_read_back(self, row: ChatFormat, shape: Conversation) -> None:
        assert unreadable_turns(shape, row) == []

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (Message("assistant", 'Write {"tool_uses": [...]} to call.'), "not begin a line"),
            (
                Message("assistant", '{"tool_uses": [{"recipient_name": "f", "parameters": {}}]}'),
                "would be read as other calls than it makes",
            ),
            (Message("assistant", "", (ToolCall("", {}),)), "wanted a tool's name"),
            (Message("assistant", "", (ToolCall("f", {"x": float("nan")}),)), "f are no JSON"),
        ],
    )
    def test_turn_that_cannot_be_read_back_is_reported(self, message: Message, reason: str) -> None:
        (found,) = unreadable_turns(Conversation((Message("user", "Hi"), message)), LLAMA3)
        assert found.startswith("messages[1]: ") and reason in found
