"""Building: tokens that decode to the conversation, one split by content, nothing ever cut."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damaging import flip_a_bit

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import find_format
from chat.formats.rendering import render, tokenize
from chat.tokenizers.tokenizer import load_tokenizer
from data import parallel
from data.building import dataset as building
from data.building import mixture, tally
from data.building.dataset import Settings, build_dataset
from data.building.encoding import Encoded, Job, encode
from data.building.mixture import Work
from data.building.unfinished import unfinished
from data.conversations import write_conversations
from data.tokenized import SPLITS, TokenizedDataset

ADD = Tool("add", "Add", {"type": "object", "properties": {"a": {"type": "number"}}})


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of the 256 bytes alone, in Llama 3's file format."""
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    lines = [f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)]
    file.write_text("".join(lines))
    return file


def conversation(number: int, words: int = 3) -> Conversation:
    return Conversation(
        messages=(
            Message("user", f"add {number} <|eot_id|>"),
            Message("assistant", "One moment.", (ToolCall("add", {"a": number}),)),
            Message("tool", str(number)),
            Message("assistant", "is " * words),
        ),
        tools=(ADD,),
        id=f"row-{number}",
        source="made.json" if number % 2 else "up.json",
        sha256=f"{number:064x}",
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_conversations(tmp_path / "rows.json", [conversation(number) for number in range(40)])
    return tmp_path / "rows.json"


def build(
    source: Path | str, tokenizer_file: Path, directory: Path | None = None, **settings: Any
) -> dict[str, Any]:
    """Build `d` beside the source, or beside `directory` where the source is several files."""
    place = Path(directory or source).parent / "d"
    return build_dataset(source, tokenizer_file, place, Settings(**settings))


def names_in(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()}


def test_every_conversation_is_stored_once_and_decodes_to_its_text(
    source: Path, tokenizer_file: Path
) -> None:
    build(source, tokenizer_file, val_ratio=0.3)
    tokenizer = load_tokenizer(tokenizer_file)
    found = []
    for split in SPLITS:
        dataset = TokenizedDataset.open(source.parent / "d", split)
        for index in range(len(dataset)):
            origin = dataset.origin(index)
            number = int(origin.id.removeprefix("row-"))
            found.append(number)
            segments = render(conversation(number), find_format("llama3"))
            assert tokenizer.decode(dataset.tokens(index).tolist()) == "".join(
                segment.text for segment in segments
            )
            trained = dataset.tokens(index)[dataset.trained(index)]
            assert tokenizer.decode(trained.tolist()) == "".join(
                segment.text for segment in segments if segment.trained
            )
            assert origin.sha256 == f"{number:064x}"
    assert sorted(found) == list(range(40))


def test_held_out_conversations_are_also_kept_as_json(source: Path, tokenizer_file: Path) -> None:
    rows = [conversation(number) for number in range(40)]
    spare = Tool("spare", "word " * 100)
    write_conversations(source, [replace(row, tools=(ADD, spare)) for row in rows])
    build(source, tokenizer_file, val_ratio=0.3, max_seq_len=1300)
    tokenizer = load_tokenizer(tokenizer_file)
    train, held_out = (TokenizedDataset.open(source.parent / "d", split) for split in SPLITS)
    assert all(origin.conversation is None for origin in train.origins())
    for index, origin in enumerate(held_out.origins()):
        assert origin == held_out.origin(index)
        kept = Conversation.from_record(origin.conversation)
        original = conversation(int(origin.id.removeprefix("row-")))
        assert (kept.messages, kept.tools) == (original.messages, original.tools)
        assert tokenize(render(kept, find_format("llama3")), tokenizer).ids == (
            held_out.tokens(index).tolist()
        )


def test_the_description_says_what_the_dataset_was_made_of(
    source: Path, tokenizer_file: Path
) -> None:
    description = build(source, tokenizer_file, val_ratio=0.3)
    assert description == json.loads((source.parent / "d" / "dataset.json").read_text())
    assert description["chat_format"] == "llama3" and description["vocab_size"] == 512
    assert description["tokenizer_sha256"] == load_tokenizer(tokenizer_file).sha256
    provenance = description["provenance"]
    assert provenance["conversations"] == 40
    assert provenance["sources"] == {"made.json": 20, "up.json": 20}
    (file,) = provenance["files"]
    assert file["file"] == "rows.json" and file["weight"] == 1 and len(file["sha256"]) == 64
    assert file["conversations"] == file["train"] + file["validation"] == 40
    assert sum(description["splits"][split]["conversations"] for split in SPLITS) == 40


def test_copies_of_a_conversation_are_in_one_split(source: Path, tokenizer_file: Path) -> None:
    rows = [conversation(number) for number in range(40)]
    write_conversations(source, rows[::-1] + rows)
    build(source, tokenizer_file, val_ratio=0.3)
    ids = []
    for split in SPLITS:
        dataset = TokenizedDataset.open(source.parent / "d", split)
        ids.append({dataset.origin(i).id for i in range(len(dataset))})
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 40


def test_split_by_prompt_keeps_replies_to_one_prompt_together(
    tmp_path: Path, tokenizer_file: Path
) -> None:
    rows = [
        replace(conversation(number, words), id=f"row-{number}/{words}")
        for number in range(20)
        for words in range(1, 4)
    ]
    write_conversations(tmp_path / "rows.json", rows)
    build(tmp_path / "rows.json", tokenizer_file, val_ratio=0.3, split_by="prompt")
    numbers = []
    for split in SPLITS:
        dataset = TokenizedDataset.open(tmp_path / "d", split)
        numbers.append({origin.id.partition("/")[0] for origin in dataset.origins()})
    assert not numbers[0] & numbers[1]
    assert all(numbers)


def test_split_by_tools_puts_no_tool_into_both_splits(
    tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = [Tool(f"tool_{number // 3}") for number in range(60)]
    rows = [replace(conversation(n, 1), tools=(tools[n], tools[n - n % 6])) for n in range(60)]
    rows = [replace(row, messages=(*row.messages[:1], row.messages[3])) for row in rows]
    source = tmp_path / "rows.json"
    write_conversations(source, rows)
    monkeypatch.setattr(parallel, "FEW", 0)
    description = build(source, tokenizer_file, val_ratio=0.3, split_by="tools")
    assert description["provenance"]["split_by"] == "tools"
    names: dict[str, set[str]] = {}
    for split in SPLITS:
        dataset = TokenizedDataset.open(tmp_path / "d", split)
        numbers = [int(dataset.origin(i).id.removeprefix("row-")) for i in range(len(dataset))]
        names[split] = {tool.name for n in numbers for tool in rows[n].tools}
        assert len(numbers) == {"train": 42, "validation": 18}[split]
    assert not names["train"] & names["validation"]
    with pytest.raises(
        ValueError, match="--split-by is 'tool', wanted conversation or prompt or tools"
    ):
        Settings(split_by="tool")


def test_dataset_does_not_depend_on_the_number_of_processes(
    source: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(source, tokenizer_file, val_ratio=0.3)
    alone = {file.name: file.read_bytes() for file in (source.parent / "d").iterdir()}
    monkeypatch.setattr(parallel, "FEW", 5)
    build(source, tokenizer_file, val_ratio=0.3)
    assert {file.name: file.read_bytes() for file in (source.parent / "d").iterdir()} == alone


def test_overlong_conversations_stop_the_build_and_are_counted(
    source: Path, tokenizer_file: Path
) -> None:
    rows = [conversation(number) for number in range(38)]
    rows += [conversation(38, 900), conversation(39, 1000)]
    write_conversations(source, rows)
    with pytest.raises(
        ValueError,
        match=r"2 of 40 .* longer than --max-seq-len 2000, the longest, row-39, has \d{4} tokens; "
        r".*--skip-overlong",
    ):
        build(source, tokenizer_file, val_ratio=0.3, max_seq_len=2000)
    assert names_in(source.parent) == {"rows.json"}


def test_skip_overlong_leaves_out_and_lists_overlong_conversations(
    source: Path, tokenizer_file: Path
) -> None:
    write_conversations(source, [conversation(n, 3 if n < 39 else 900) for n in range(40)])
    settings = {"val_ratio": 0.3, "max_seq_len": 2000, "skip_overlong": True}
    description = build(source, tokenizer_file, **settings)
    (left_out,) = description["rejected"]["overlong"]
    assert left_out["id"] == "row-39" and left_out["tokens"] > 2000
    assert sum(description["splits"][split]["conversations"] for split in SPLITS) == 39


def test_many_left_out_are_counted_and_some_are_named(
    source: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MOST_NAMED", 2)
    rows = [conversation(number, 3 if number < 30 else 900) for number in range(35)]
    write_conversations(source, rows)
    settings = {"val_ratio": 0.3, "max_seq_len": 2000}
    description = build(source, tokenizer_file, **settings, skip_overlong=True)
    assert [row["id"] for row in description["rejected"]["overlong"]] == ["row-30", "row-31"]
    lists = ("overlong", "untrained", "unwritable", "tools_dropped")
    assert description["not_named"] == {**dict.fromkeys(lists, 0), "overlong": 3}
    with pytest.raises(ValueError, match="5 of 35 conversations are longer"):
        build(source, tokenizer_file, source.parent / "other", **settings)


def test_conversation_without_trained_tokens_stops_the_build_or_is_skipped(
    source: Path, tokenizer_file: Path
) -> None:
    rows = [conversation(number) for number in range(39)]
    write_conversations(source, [*rows, Conversation((Message("user", "hello"),), id="mute")])
    with pytest.raises(ValueError, match=r"1 of 40 .* no assistant turn to train on.*is mute;"):
        build(source, tokenizer_file, val_ratio=0.3)
    description = build(source, tokenizer_file, val_ratio=0.3, skip_overlong=True)
    assert description["rejected"]["untrained"] == ["mute"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "is empty"),
        ("[]", "holds 0 conversations that can be trained on"),
        ('{"messages": [}', "row 0 is not JSON, line 1, column 15"),
        ('{"system": "", "chat": ""}', r"row 0 \(line 1\) is no conversation.*clean_dataset\.py"),
        (
            '{"messages": [{"role": "assistant", "content": "\\ud800"}]}',
            r"row 0 \(line 1\) holds '.*', half of a character",
        ),
    ],
)
def test_unusable_file_is_refused_and_nothing_is_written(
    tmp_path: Path, tokenizer_file: Path, rows: str, message: str
) -> None:
    (tmp_path / "rows.json").write_text(rows)
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "rows.json", tokenizer_file)
    assert names_in(tmp_path) == {"rows.json"}


def test_empty_split_error_names_a_ratio_that_works(source: Path, tokenizer_file: Path) -> None:
    write_conversations(source, [conversation(number) for number in range(3)])
    for ratio, split in ((0.0001, "validation"), (0.9999, "train")):
        with pytest.raises(
            ValueError, match=f"the {split} split of 3.*use --val-ratio 0."
        ) as raised:
            build(source, tokenizer_file, val_ratio=ratio)
    named = float(str(raised.value).rpartition(" ")[2])
    assert build(source, tokenizer_file, val_ratio=named)["splits"]["train"]["conversations"] >= 1


def test_a_single_conversation_cannot_be_split(source: Path, tokenizer_file: Path) -> None:
    write_conversations(source, [conversation(1), conversation(1)])
    with pytest.raises(ValueError, match=r"holds 2 conversations .* need two that differ"):
        build(source, tokenizer_file)


def test_invalid_settings_are_refused(source: Path, tokenizer_file: Path) -> None:
    for ratio in (0, 1, "many"):
        with pytest.raises(ValueError, match=r"--val-ratio is .*, wanted more than 0 and less"):
            Settings(val_ratio=ratio)
    with pytest.raises(ValueError, match="--max-seq-len is 1, wanted a number from 2 up"):
        Settings(max_seq_len=1)
    with pytest.raises(ValueError, match="unknown chat format 'lama3'; did you mean llama3"):
        build(source, tokenizer_file, chat_format="lama3")


def test_directory_with_other_files_is_not_overwritten(source: Path, tokenizer_file: Path) -> None:
    (source.parent / "d").mkdir()
    (source.parent / "d" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="was not written by this command"):
        build(source, tokenizer_file)
    assert names_in(source.parent / "d") == {"thesis.txt"}


def test_what_a_format_cannot_write_is_listed_with_its_reason(
    source: Path, tokenizer_file: Path
) -> None:
    text = '{"tool_uses": [{"recipient_name": "functions.x", "parameters": {}}]}'
    talk = Conversation((Message("user", "Show me a call."), Message("assistant", text)), id="odd")
    write_conversations(source, [*(conversation(number) for number in range(39)), talk])
    description = build(source, tokenizer_file, val_ratio=0.3)
    (left_out,) = description["rejected"]["unwritable"]
    assert left_out["id"] == "odd"
    assert left_out["reason"].startswith("messages[1]: its text would be read as other calls")
    assert sum(description["splits"][split]["conversations"] for split in SPLITS) == 39


def test_nothing_to_train_on_names_what_the_format_cannot_write(
    source: Path, tokenizer_file: Path
) -> None:
    text = '{"tool_uses": ['
    rows = [
        Conversation((Message("user", "x"), Message("assistant", text)), id=f"{n}") for n in "ab"
    ]
    write_conversations(source, rows)
    with pytest.raises(ValueError, match=r"llama3 cannot write 2 of 2 conversations: a \(messages"):
        build(source, tokenizer_file)


def test_what_a_format_cannot_write_stops_a_build_only_on_request(
    source: Path, tokenizer_file: Path
) -> None:
    text = 'It begins with {"recipient_name": "functions.x"} and goes on.'
    odd = [
        Conversation((Message("user", f"{n}"), Message("assistant", text)), id=f"odd-{n}")
        for n in range(7)
    ]
    write_conversations(source, [*(conversation(number) for number in range(39)), *odd])
    wanted = r"llama3 cannot write 7 of 46 conversations: odd-0 .* and 2 more; .* --skip-unwritable"
    with pytest.raises(ValueError, match=wanted):
        build(source, tokenizer_file, val_ratio=0.3, skip_unwritable=False)
    description = build(source, tokenizer_file, val_ratio=0.3)
    assert len(description["rejected"]["unwritable"]) == 7


@pytest.mark.parametrize("marked", [True, False])
def test_a_marked_turn_is_read_and_not_learnt(
    source: Path, tokenizer_file: Path, marked: bool
) -> None:
    first = Message("assistant", "A wrong answer.", trained=not marked)
    turns = (Message("user", "x"), first, Message("user", "y"), Message("assistant", "Right."))
    rows = [Conversation(turns, id=f"{n}", source=f"{n}") for n in range(2)]
    write_conversations(source, [*(conversation(number) for number in range(39)), *rows])
    build(source, tokenizer_file, val_ratio=0.3)
    opened = [TokenizedDataset.open(source.parent / "d", split) for split in SPLITS]
    found = [(data, i) for data in opened for i in range(len(data)) if data.origin(i).id == "0"]
    (dataset, index), *_ = found
    tokenizer = load_tokenizer(tokenizer_file)
    text = tokenizer.decode(dataset.tokens(index)[dataset.trained(index)].tolist())
    assert ("A wrong answer." in text) is not marked and "Right." in text


def ids_of(directory: Path, split: str) -> list[str]:
    dataset = TokenizedDataset.open(directory, split)
    return [dataset.origin(index).id for index in range(len(dataset))]


def test_mixture_takes_and_counts_each_file_by_its_weight(
    source: Path, tokenizer_file: Path
) -> None:
    second = source.with_name("more.jsonl")
    write_conversations(second, [conversation(number) for number in range(100, 300)])
    both = f"{source},{second}"
    description = build(both, tokenizer_file, val_ratio=0.3, weights="2,0.5", directory=source)
    first, other = description["provenance"]["files"]
    assert (first["file"], first["weight"], first["conversations"]) == ("rows.json", 2.0, 40)
    assert first["train"] / 2 + first["validation"] == 40 and first["not_drawn"] == 0
    assert other["train"] + other["validation"] + other["not_drawn"] == 200
    assert 70 < other["not_drawn"] < 130
    ids = ids_of(source.parent / "d", "train")
    assert all(ids.count(f"row-{n}") in (0, 2) for n in range(40))
    assert len(ids_of(source.parent / "d", "validation")) == len(
        set(ids_of(source.parent / "d", "validation"))
    )
    before = (source.parent / "d" / "dataset.json").read_bytes()
    build(both, tokenizer_file, val_ratio=0.3, weights="2,0.5", directory=source)
    assert (source.parent / "d" / "dataset.json").read_bytes() == before
    build(both, tokenizer_file, val_ratio=0.3, weights="2,0.5", seed=4, directory=source)
    assert ids_of(source.parent / "d", "train") != ids


def test_overlong_conversation_first_loses_tools_it_never_calls(
    source: Path, tokenizer_file: Path
) -> None:
    rows = [conversation(number) for number in range(39)]
    spare = tuple(Tool(f"spare_{n}", "word " * n * 50) for n in (1, 4, 2))
    rows.append(replace(conversation(39), tools=(spare[0], ADD, *spare[1:])))
    write_conversations(source, rows)
    description = build(source, tokenizer_file, val_ratio=0.3, max_seq_len=2500)
    (repaired,) = description["repaired"]["tools_dropped"]
    assert repaired["id"] == "row-39" and repaired["tools"] == ["spare_4"]
    assert repaired["tokens"] <= 2500 < repaired["tokens_before"]
    assert description["rejected"] == {"overlong": [], "untrained": [], "unwritable": []}
    text = whole_text(source.parent / "d", "row-39", tokenizer_file)
    assert "type spare_1 =" in text and "type add =" in text and "spare_4" not in text


def whole_text(directory: Path, id: str, tokenizer_file: Path) -> str:
    for split in SPLITS:
        if id in ids_of(directory, split):
            dataset = TokenizedDataset.open(directory, split)
            tokens = dataset.tokens(ids_of(directory, split).index(id))
            return load_tokenizer(tokenizer_file).decode(tokens.tolist())
    raise AssertionError(id)


def test_the_dataset_holds_the_tokenizer_it_was_built_with(
    source: Path, tokenizer_file: Path
) -> None:
    build(source, tokenizer_file, val_ratio=0.3)
    copy = source.parent / "d" / "tokenizer.model"
    assert copy.read_bytes() == tokenizer_file.read_bytes()


class Interrupted:
    """Encodes blocks until it has done `most`, then fails like a user's Ctrl-C or a full disk."""

    def __init__(self, most: int, error: BaseException) -> None:
        self.most = most
        self.error = error
        self.done: list[int] = []

    def __call__(self, work: Work, job: Job) -> Encoded:
        if len(self.done) == self.most:
            raise self.error
        self.done.append(len(work.rows))
        return encode(work, job)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_build_continues_and_its_dataset_is_the_same(
    source: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    build(source, tokenizer_file, val_ratio=0.3)
    whole = {file.name: file.read_bytes() for file in (source.parent / "d").iterdir()}
    monkeypatch.setattr(parallel, "FEW", 10**6)
    monkeypatch.setattr(mixture, "ROWS", 4)
    monkeypatch.setattr(building, "SAVE_EVERY", 3)
    monkeypatch.setattr(building, "encode", Interrupted(8, error))
    with pytest.raises(type(error)) as raised:
        build(source, tokenizer_file, val_ratio=0.3)
    if isinstance(error, OSError):
        assert str(raised.value).endswith(f"No space left on device: '{source.parent / 'd'}'")
    assert names_in(source.parent) == {"rows.json", "d", ".d.unfinished"}
    again = Interrupted(100, error)
    monkeypatch.setattr(building, "encode", again)
    build(source, tokenizer_file, val_ratio=0.3)
    assert sum(again.done) == 40 - 2 * 3 * 4
    assert {file.name: file.read_bytes() for file in (source.parent / "d").iterdir()} == whole
    assert names_in(source.parent) == {"rows.json", "d"}


def test_unfinished_build_starts_anew_after_changes_or_damage(
    source: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "FEW", 10**6)
    monkeypatch.setattr(mixture, "ROWS", 4)
    monkeypatch.setattr(building, "SAVE_EVERY", 3)
    for change in ("settings", "source", "damage", "a bit of a file", "a bit of the progress"):
        monkeypatch.setattr(building, "encode", Interrupted(8, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            build(source, tokenizer_file, val_ratio=0.3)
        if change == "source":
            source.write_text(source.read_text().replace("One moment.", "Wait."))
        if change == "damage":
            (source.parent / ".d.unfinished" / "train.tokens.bin").write_bytes(b"short")
        if change == "a bit of a file":
            flip_a_bit(source.parent / ".d.unfinished" / "train.tokens.bin", 9)
        if change == "a bit of the progress":
            progress = source.parent / ".d.unfinished" / "progress.json"
            progress.write_text(progress.read_text().replace('"blocks": ', '"blocks": 1'))
        again = Interrupted(100, KeyboardInterrupt())
        monkeypatch.setattr(building, "encode", again)
        build(source, tokenizer_file, val_ratio=0.4 if change == "settings" else 0.3)
        assert sum(again.done) == 40, change


def test_second_build_of_the_same_dataset_is_refused(source: Path, tokenizer_file: Path) -> None:
    with (
        unfinished(source.parent / "d", {}),
        pytest.raises(ValueError, match="d is being built by another process; wait"),
    ):
        build(source, tokenizer_file, val_ratio=0.3)
    build(source, tokenizer_file, val_ratio=0.3)
