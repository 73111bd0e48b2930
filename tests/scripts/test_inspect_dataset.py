"""scripts/inspect_dataset.py as a user types it: figures, a mask, a page, and what is wrong."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Outcome, run_command
from inspected import byte_tokenizer, inspected_dataset
from page_parser import read_page

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from scripts.inspect_dataset import main

ROOT = Path(__file__).parents[2]


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs the command in this process."""
    return lambda *flags: run_command(main, [*flags], monkeypatch, capsys)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inspected_dataset(tmp_path_factory.mktemp("inspect"))


def test_figures_charts_and_sources_are_shown(dataset: Path) -> None:
    script = [sys.executable, "scripts/inspect_dataset.py", "--dataset-dir", str(dataset)]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    train = TokenizedDataset.open(dataset, "train")
    for text in (
        f"{train.total_tokens:,}",
        "length, median",
        "█",
        "get_weather",
        "single_call",
        "assistant",
        "rows.jsonl: 40 conversations, weight 1.0",
        "micro-batches",
    ):
        assert text in done.stdout, text
    assert f"inspect_dataset.py --dataset-dir {dataset} --index 0" in done.stdout


def test_the_mask_of_a_conversation_is_readable_without_colours(
    command: Command, dataset: Path
) -> None:
    done = command("--dataset-dir", dataset, "--split", "validation", "--index", "0")
    assert (done.code, done.error) == (0, "")
    assert "validation 0:" in done.out and "\x1b" not in done.out
    body = done.out.partition("document begins")[2].partition("document ends")[0]
    spans = re.findall(r"⟦(.*?)⟧", body, re.DOTALL)
    assert spans and all(span.endswith("<|eot_id|>■") for span in spans)
    assert "functions.get_weather" not in re.sub(r"⟦.*?⟧", "", body, flags=re.DOTALL)


def test_the_page_is_whole_escaped_and_loads_nothing(
    command: Command, dataset: Path, tmp_path: Path
) -> None:
    done = command("--dataset-dir", dataset, "--html", tmp_path / "page.html")
    assert (done.code, done.error) == (0, "")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = read_page(text)
    assert page.tags.count("svg") >= 10
    assert "url(" not in text and "@import" not in text
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in text and "<b>" not in text
    assert "assistant trained special stop" in {a.get("class") for a in page.of("span")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--index", "1000"), "has no conversation 1000"),
        (("--split", "test"), "no split 'test'"),
        (("--html", "/dev/null/page.html"), "cannot be written"),
    ],
)
def test_an_invalid_flag_value_is_a_one_line_error(
    command: Command, dataset: Path, flags: tuple[str, str], message: str
) -> None:
    done = command("--dataset-dir", dataset, *flags)
    assert done.code == 1 and message in done.error
    assert done.error.count("\n") == 1


def test_a_folder_that_is_no_dataset_is_one_line(command: Command, tmp_path: Path) -> None:
    done = command("--dataset-dir", tmp_path)
    assert done.code == 1 and "is not a dataset" in done.error


@pytest.mark.usefixtures("trusted_files")
def test_a_dataset_that_training_refuses_is_refused_here_too(
    command: Command, tmp_path: Path
) -> None:
    directory = inspected_dataset(tmp_path, count=12)
    file = directory / "train.trained.bin"
    mask = bytearray(file.read_bytes())
    mask[-1] = 0
    file.write_bytes(mask)
    done = command("--dataset-dir", directory, "--index", "0")
    assert done.code == 1
    assert "has a trained turn without a trained stop token" in done.error


def test_no_control_character_of_a_row_reaches_the_terminal(
    command: Command, tmp_path: Path
) -> None:
    call = Message("assistant", "", (ToolCall("find\x1b[31m_tide", {"port": "\x1b]0;PWN\x07"}),))
    rows = [
        Conversation(
            (Message("user", f"Tide {n}?"), call, Message("tool", "\x1b[2J14:20\x9b1m")),
            (Tool("find\x1b[31m_tide"),),
            id=f"row\x1b]0;PWN\x07-{n}",
            source="tides\x1b[31m.jsonl",
        )
        for n in range(6)
    ]
    file = tmp_path / "odd\x1b[31m.jsonl"
    write_conversations(file, rows)
    tokenizer = byte_tokenizer(tmp_path / "bytes.model")
    build_dataset(file, tokenizer, tmp_path / "d", Settings(val_ratio=0.5, chat_format="llama3"))
    for flags in ((), ("--index", "0")):
        done = command("--dataset-dir", tmp_path / "d", *flags)
        assert done.code == 0, done.error
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.out)
        assert "tides\ufffd[31m.jsonl" in done.out
