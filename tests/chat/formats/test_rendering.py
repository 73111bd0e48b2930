"""Chat formats: golden texts, and properties that hold for every format."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries

from chat.conversation import Conversation, Message, Tool, ToolCall, is_learnt
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.known import FORMATS, find_format
from chat.formats.rendering import (
    Segment,
    check_readable,
    check_special_tokens,
    encode_conversation,
    encode_prompt,
    parse_reply,
    render,
    render_prompt,
    reply_text,
    silent_ids,
    special_id,
    stop_ids,
    tokenize,
    training_sequences,
)
from chat.tokenizers.ranks import LLAMA3_CUTTING, TiktokenTokenizer
from chat.tokenizers.special_tokens import SPECIAL_TABLES
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

LLAMA3 = FORMATS["llama3"]


def text_of(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def marked(segments: list[Segment]) -> str:
    """The text with ⟦ ⟧ around what is trained."""
    text = "".join(f"⟦{segment.text}⟧" if segment.trained else segment.text for segment in segments)
    return text.replace("⟧⟦", "")


@pytest.fixture(scope="module", params=FORMATS.values(), ids=FORMATS)
def row(request: pytest.FixtureRequest) -> ChatFormat:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(row: ChatFormat, byte_tokenizer: TiktokenTokenizer) -> Tokenizer:
    """The bytes, some pairs, and the special tokens of the format."""
    names = dict.fromkeys([*row.special_tokens, *row.stop_tokens, *row.end_tokens])
    ranks = byte_tokenizer.encoding._mergeable_ranks
    specials = {name: len(ranks) + place for place, name in enumerate(names)}
    return TiktokenTokenizer.of(Path("small.model"), "", ranks, specials, LLAMA3_CUTTING)


def sequences(conversation: Conversation, row: ChatFormat) -> list[Conversation]:
    """What is trained on; nothing where the format has no way to write the conversation."""
    try:
        check_readable(conversation, row)
        found = list(training_sequences(conversation, row))
        for sequence in found:
            render(sequence, row)
    except CannotWrite:
        return []
    return found


# The others are compared with what their makers' code writes: test_makers.py.
OURS = (
    *("llama3", "llama3_short", "hermes", "hermes_short"),
    *("glaive_text", "phi3_xlam", "tool_call_tags"),
)


class TestGolden:
    @pytest.mark.parametrize("name", OURS)
    def test_rendered_shape_equals_its_golden_file(
        self, name: str, shape: Conversation, request: pytest.FixtureRequest
    ) -> None:
        """Write new files with UPDATE_GOLDEN=1, then read them."""
        shape_name = request.node.callspec.id.removeprefix(f"{name}-").removesuffix(f"-{name}")
        file = Path(__file__).parent / "golden" / name / f"{shape_name}.txt"
        try:
            written = marked(render(shape, FORMATS[name]))
        except CannotWrite as error:
            written = f"cannot be written: {error}\n"
        if os.environ.get("UPDATE_GOLDEN"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(written, encoding="utf-8", newline="")
        assert written == file.read_bytes().decode()


class TestEveryRow:
    def test_format_tokens_exist_in_tokenizer(self, row: ChatFormat, tokenizer: Tokenizer) -> None:
        assert set(row.stop_tokens) <= set(row.special_tokens)
        assert set(row.calls.special_tokens) <= set(row.special_tokens)
        assert stop_ids(row, tokenizer)
        assert set(silent_ids(row, tokenizer)) == {
            special_id(token, tokenizer)
            for token in tokenizer.special_tokens
            if token not in row.calls.special_tokens
        }

    def test_each_trained_turn_ends_in_its_only_stop_token(
        self, row: ChatFormat, tokenizer: Tokenizer, shape: Conversation
    ) -> None:
        for sequence in sequences(shape, row):
            tokens = encode_conversation(sequence, row, tokenizer)
            assert len(tokens.ids) == len(tokens.trained) == len(tokens.roles)
            runs = trained_runs(tokens.ids, tokens.trained, stop_ids(row, tokenizer))
            learnt = [message for message in sequence.messages if is_learnt(message)]
            assert len(runs) == len(learnt)
            for run, message in zip(runs, learnt, strict=True):
                text = reply_text(run[:-1], tokenizer, silent_ids(row, tokenizer))
                reply = parse_reply(text, row)
                assert reply.problem is None
                assert reply.content == message.content.strip()
                assert [(call.name, call.arguments) for call in reply.tool_calls] == [
                    (call.name, call.arguments) for call in message.tool_calls
                ]

    def test_every_reply_is_learnt_once(self, row: ChatFormat, shape: Conversation) -> None:
        found = sequences(shape, row)
        learnt = [
            place
            for sequence in found
            for place, message in enumerate(sequence.messages)
            if is_learnt(message)
        ]
        wanted = [place for place, message in enumerate(shape.messages) if is_learnt(message)]
        assert learnt == (wanted if found else [])

    def test_prompt_is_a_prefix_of_the_training_sequence(
        self, row: ChatFormat, tokenizer: Tokenizer, shape: Conversation
    ) -> None:
        for sequence in sequences(shape, row):
            after = encode_conversation(sequence, row, tokenizer)
            for place, message in enumerate(sequence.messages):
                if is_learnt(message) and place:
                    before = replace(sequence, messages=sequence.messages[:place])
                    asked = encode_prompt(before, row, tokenizer)
                    assert after.ids[: len(asked)] == asked
                    assert after.trained[len(asked)], "the reply begins where the prompt ends"
                    assert place == 1 or not after.trained[len(asked) - 1]

    def test_turn_not_to_be_learnt_has_the_same_ids(
        self, row: ChatFormat, tokenizer: Tokenizer, shape: Conversation
    ) -> None:
        for sequence in sequences(shape, row):
            known = tuple(replace(message, trained=False) for message in sequence.messages)
            tokens = encode_conversation(replace(sequence, messages=known), row, tokenizer)
            assert tokens.ids == encode_conversation(sequence, row, tokenizer).ids
            assert not any(tokens.trained)

    @tries(100)
    @given(data=st.data())
    def test_conversation_text_never_becomes_a_special_token(
        self, row: ChatFormat, tokenizer: Tokenizer, data: st.DataObject
    ) -> None:
        names = st.sampled_from([*tokenizer.special_tokens, *SPECIAL_TABLES["llama3_1"][:12]])
        text = st.lists(names | st.text("ab \n<|>[]", max_size=5), max_size=4).map("".join)
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
        for part in (conversation, replace(conversation, messages=conversation.messages[1:2])):
            harmless = Conversation(
                tuple(
                    Message(
                        message.role,
                        "x" * bool(message.content.strip()),
                        tuple(ToolCall("f", {}) for _ in message.tool_calls),
                    )
                    for message in part.messages
                ),
                (Tool("f", "", {}),),
            )
            counts = [special_tokens_of(dialog, row, tokenizer) for dialog in (part, harmless)]
            assert counts[0] in (None, counts[1])

    def test_segments_are_whole_and_neighbours_differ(
        self, row: ChatFormat, shape: Conversation
    ) -> None:
        for sequence in sequences(shape, row):
            segments = render(sequence, row)
            assert all(segment.text for segment in segments)
            for one, next_one in pairwise(segments):
                assert one.special or next_one.special or one[2:] != next_one[2:]


def trained_runs(ids: list[int], trained: list[bool], stops: tuple[int, ...]) -> list[list[int]]:
    """The ids of each trained run, which must end in a stop token and hold no other."""
    runs: list[list[int]] = []
    current: list[int] = []
    for token, learnt in zip(ids, trained, strict=True):
        if learnt:
            current.append(token)
            if token in stops:
                runs.append(current)
                current = []
        assert learnt or not current, "a trained run ended without a stop token"
    assert not current
    return runs


def special_tokens_of(
    conversation: Conversation, row: ChatFormat, tokenizer: Tokenizer
) -> list[int] | None:
    """The special ids of a written conversation; None where it cannot be written."""
    try:
        ids = tokenize(render(conversation, row), tokenizer, row.reply_joins).ids
    except CannotWrite:
        return None
    return [token for token in ids if token in set(tokenizer.special_tokens.values())]


class TestLlama3:
    def test_ids_equal_those_of_the_whole_text_encoded_at_once(
        self, llama3: TiktokenTokenizer, shape: Conversation
    ) -> None:
        segments = render(shape, LLAMA3)
        whole = llama3.encoding.encode(text_of(segments), allowed_special="all")
        # Encoded at once, special-token text in the conversation would become special ids.
        brought = any("<|" in segment.text for segment in segments if not segment.special)
        assert (tokenize(segments, llama3).ids == whole) is not brought

    @tries(200)
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
        assert stop_ids(LLAMA3, llama3) == (128009, 128001, 128008)

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
        row = FORMATS["qwen2_5"]
        with pytest.raises(ValueError, match=r"has no special token <\|im_start\|>, which"):
            tokenize(render(Conversation((Message("user", "Hi"),)), row), tokenizer)
        with pytest.raises(ValueError, match=r"has no special token <\|im_end\|>"):
            stop_ids(row, tokenizer)

    def test_tokenizer_that_does_not_fit_names_formats_that_do(self, ranks_file: Path) -> None:
        tokenizer = load_tokenizer(ranks_file, "llama3")
        with pytest.raises(ValueError, match=r"fits with --chat-format: llama3, llama3_short, "):
            check_special_tokens(FORMATS["mistral_v3"], tokenizer)

    def test_tokenizer_of_chatml_alone_names_hermes_first(self) -> None:
        specials = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
        ranks = {bytes([value]): value for value in range(256)}
        tokenizer = TiktokenTokenizer.of(Path("smol"), "", ranks, specials, LLAMA3_CUTTING)
        with pytest.raises(
            ValueError, match=r"--chat-format: hermes, hermes_short, qwen2_for_tool"
        ):
            check_special_tokens(FORMATS["llama3"], tokenizer)

    def test_settings_that_follow_a_name_are_kept_in_it(self) -> None:
        format = find_format("llama3_1:date=30 Nov 2026")
        assert format.settings == {"cutoff": "December 2023", "date": "30 Nov 2026"}
        assert find_format(format.name).settings == format.settings
        assert find_format("llama3_1:date=26 Jul 2024") is FORMATS["llama3_1"]
        text = text_of(render(Conversation((Message("user", "Hi"),)), format))
        assert "Today Date: 30 Nov 2026\n" in text

    @pytest.mark.parametrize("written", ["llama3_1:day=1", "llama3_1:date", "llama3_1:date= "])
    def test_unknown_setting_error_shows_those_there_are(self, written: str) -> None:
        with pytest.raises(ValueError, match=r"has no setting .* wanted such as llama3_1:cutoff="):
            find_format(written)
        with pytest.raises(ValueError, match=r"qwen3 has no setting 'a=b'; it has no settings"):
            find_format("qwen3:a=b")

    @pytest.mark.parametrize(
        "value", ["a\nb", "x" * 100_000, "\x1b[31m", "\ud800", "now<|eot_id|>", "a\u2028b"]
    )
    def test_setting_of_no_short_plain_line_is_refused(self, value: str) -> None:
        with pytest.raises(ValueError, match="wanted up to 80 printable characters") as raised:
            find_format(f"llama3_1:date={value}")
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 300

    def test_setting_that_is_named_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="has its setting date twice; name it once"):
            find_format("llama3_1:date=a,date=b")

    @pytest.mark.parametrize("written", ["x" * 100_000, "llama3_1:" + "x" * 100_000])
    def test_long_name_is_cut_in_its_error(self, written: str) -> None:
        with pytest.raises(ValueError, match="x") as raised:
            find_format(written)
        assert len(str(raised.value)) < 400

    @pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
    def test_a_message_may_be_one_object_at_two_places(self, name: str) -> None:
        asked, answer = Message("user", "Rain?"), Message("assistant", "No.")
        copies = [asked, answer, replace(asked, name="x"), replace(answer, name="x")]
        tools = (Tool("rain", ""),)
        same = Conversation((asked, answer, asked, answer), tools)
        assert render(same, FORMATS[name]) == render(
            Conversation(tuple(copies), tools), FORMATS[name]
        )

    def test_name_of_several_formats_lists_them(self) -> None:
        with pytest.raises(ValueError, match="mean mistral_v1 or mistral_v3 or mistral_tekken"):
            find_format("mistral")


class TestFormatsWithoutCalls:
    @pytest.mark.parametrize("name", [row.name for row in FORMATS.values() if not row.has_calls])
    def test_offered_tools_are_refused(self, name: str) -> None:
        asked = Conversation((Message("user", "Rain?"),))
        render_prompt(asked, FORMATS[name])
        with pytest.raises(CannotWrite, match=rf"tools are offered, and {name} has no calls; "):
            render_prompt(replace(asked, tools=(Tool("rain", ""),)), FORMATS[name])


class TestUnreadableTurns:
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
        with pytest.raises(CannotWrite) as raised:
            check_readable(Conversation((Message("user", "Hi"), message)), LLAMA3)
        found = str(raised.value)
        assert found.startswith("messages[1]: ") and reason in found
