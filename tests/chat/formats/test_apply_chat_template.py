"""Transformers' own `apply_chat_template` on an exported tokenizer gives the ids of ours."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chat_templates import cases, names_special_tokens, written, written_shapes
from small_tokenizers import write_tokenizer_json
from transformers import PreTrainedTokenizerFast

from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.rendering import encode_conversation, encode_prompt
from chat.formats.template import chat_template
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from chat.tokenizers.written import write_hugging_face_tokenizer


class Exported(NamedTuple):
    """A format, the tokenizer it trains with, and Transformers' of the files of an export."""

    format: ChatFormat
    ours: Tokenizer
    theirs: Any


@pytest.fixture(scope="module", params=["llama3_1", "qwen2_5"])
def exported(
    request: pytest.FixtureRequest, ranks_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    directory = tmp_path_factory.mktemp("export")
    file, format = directory / "tokenizer.json", FORMATS[request.param]
    if format.name == "qwen2_5":
        ours = format.load_tokenizer(write_qwen(file))
    else:
        ours = load_tokenizer(ranks_file, format.special_table)
        assert isinstance(ours, TiktokenTokenizer)
        write_hugging_face_tokenizer(ours, directory)
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(file), chat_template=chat_template(format), bos_token="<|begin_of_text|>"
    )
    return Exported(format, ours, theirs)


def write_qwen(file: Path) -> Path:
    """Write a small tokenizer.json with the added tokens of Qwen2.5 that the format needs."""
    content = json.loads(write_tokenizer_json(file, "qwen").read_text(encoding="utf-8"))
    opening = content["added_tokens"][-1]
    assert opening["content"] == "<tool_call>"
    content["added_tokens"].append({**opening, "id": opening["id"] + 1, "content": "</tool_call>"})
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


def test_transformers_gives_our_ids(exported: Exported) -> None:
    format, ours, theirs = exported
    for title, conversation in written_shapes(format).items():
        for part, asks in cases(conversation, format):
            ids = theirs.apply_chat_template(
                [message.to_record() for message in part.messages],
                tools=[tool.to_record() for tool in part.tools] or None,
                add_generation_prompt=asks,
                tokenize=True,
                return_dict=False,
            )
            wanted = encode_prompt(part, format, ours)
            if not asks:
                wanted = encode_conversation(part, format, ours).ids
            # Transformers reads special tokens out of anyone's text; ours never does.
            differs = names_special_tokens(written(part, format, asks), format)
            assert (ids == wanted) is not differs, title
