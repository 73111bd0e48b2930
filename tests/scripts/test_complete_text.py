"""scripts/complete_text.py: texts are gone on with as they stand."""

import json
from pathlib import Path

import pytest
from commands import Outcome, run_command
from speaking_model import TOKENIZER, write_speaking_model

from chat.conversation import Conversation, Message
from chat.tokenizers.tokenizer import load_tokenizer
from inference.completion import completed_texts
from inference.generate import Decoding, generate
from inference.loading import Source, load_chat_model
from scripts.complete_text import main

TEXTS = ["<user>How late is it?</user>\n\n<tools>", "Once"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = Conversation((Message("user", "Who?"), Message("assistant", "I.")))
    return write_speaking_model(tmp_path_factory.mktemp("model") / "base", [known])


@pytest.fixture
def complete(base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> Outcome:
        return run_command(main, ["--ckpt-dir", base, *arguments], monkeypatch, capsys)

    return run


def test_each_text_is_printed_with_what_follows_it(complete, base: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(TEXTS))
    ended = complete("--prompts-file", prompts, "--max-new-tokens", 5)
    assert (ended.code, ended.error) == (0, "")
    first, second = ended.out.split("text 2 of 2")
    assert "<user>How late is it?</user>\n\n<tools>" in first and "\nOnce" in second
    assert f"python chat_completion.py --ckpt-dir {base}" in second


def test_a_text_begins_with_the_token_that_begins_conversations(base: Path) -> None:
    chat_model, tokenizer = load_chat_model(Source(str(base))), load_tokenizer(TOKENIZER)
    found = dict(completed_texts(chat_model, TEXTS, Decoding((), 5)))
    begin = tokenizer.special_tokens["<|begin_of_text|>"]
    stops = [tokenizer.special_tokens[name] for name in ("<|eot_id|>", "<|end_of_text|>")]
    for index, text in enumerate(TEXTS):
        ids = [begin, *tokenizer.encode(text)]
        (reply,) = generate(chat_model.model, [ids], stop_ids=stops, max_new_tokens=5)
        special = set(tokenizer.special_tokens.values())
        said = tokenizer.decode([id for id in reply if id not in special])
        assert found[index] == text + said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; wanted a JSON list of texts"),
        ("[", "is not JSON"),
        ("[]", "must hold a list of texts with at least one in it"),
        ('["a", 1]', "must hold a list of texts"),
    ],
)
def test_a_file_without_texts_is_refused(complete, tmp_path: Path, content, message: str) -> None:
    prompts = tmp_path / "prompts.json"
    if content is not None:
        prompts.write_text(content)
    ended = complete("--prompts-file", prompts)
    assert ended.code == 1 and message in ended.error and ended.error.count("\n") == 1
