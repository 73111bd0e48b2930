"""Fixtures: a byte tokenizer, Llama 3's own tokenizer, and the conversation shapes."""

import base64
import json
from pathlib import Path

import pytest

from chat.conversation import Conversation
from chat.schemas.validation import read_tool
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import load_tokenizer

MERGES = [b"\n\n", b"<|", b"|>", b"ro", b"le", b"er", b"in", b"  ", b"\n ", b" \n"]


@pytest.fixture(scope="session")
def ranks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiktoken file of the 256 bytes and a few pairs."""
    tokens = [bytes([value]) for value in range(256)] + MERGES
    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)]
    file.write_text("".join(lines))
    return file


@pytest.fixture(scope="session")
def byte_tokenizer(ranks_file: Path) -> TiktokenTokenizer:
    tokenizer = load_tokenizer(ranks_file)
    assert isinstance(tokenizer, TiktokenTokenizer)
    return tokenizer


@pytest.fixture(scope="session")
def llama3(shared: Path) -> TiktokenTokenizer:
    """Llama 3's real tokenizer."""
    tokenizer = load_tokenizer(shared / "tokenizers" / "llama3")
    assert isinstance(tokenizer, TiktokenTokenizer)
    return tokenizer


def read_shapes() -> dict[str, Conversation]:
    """The conversation shapes by name, their tools normalised."""
    records = json.loads((Path(__file__).parent / "shapes.json").read_text(encoding="utf-8"))
    return {name: _conversation(record) for name, record in records.items()}


def _conversation(record: dict) -> Conversation:
    messages = Conversation.from_record({"messages": record["messages"]}).messages
    return Conversation(messages, tuple(map(read_tool, record.get("tools", []))))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes a `shape` once per conversation shape."""
    if "shape" in metafunc.fixturenames:
        shapes = read_shapes()
        metafunc.parametrize("shape", shapes.values(), ids=shapes)
