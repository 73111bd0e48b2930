"""The records of log probabilities are those of the tokens in the text, special ones included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.formats.known import FORMATS
from chat.formats.rendering import silent_ids
from chat.tokenizers.tokenizer import load_tokenizer
from inference.chat_model import ChatModel
from inference.sampling import Likelihood

pytest.importorskip("fastapi")

from serving.likelihoods import TokenRecords
from serving.reading import ReplyReader

DEMO = load_tokenizer(TOKENIZER)
FORMAT = FORMATS["llama3"]
CHAT_MODEL = ChatModel(random_model(TINY), DEMO, FORMAT)
SILENT = silent_ids(FORMAT, DEMO)
TEXTS = DEMO.token_texts()
SPECIAL = DEMO.special_tokens["<|begin_of_text|>"]
LIKELY = Likelihood(-1.0, ())


def told(tokens: list[int], *stops: str) -> list[tuple[str, list[int]]]:
    """After each token, the text that is certain so far and the tokens recorded in it."""
    reader, records = ReplyReader(CHAT_MODEL, stops), TokenRecords(TEXTS, SILENT)
    text, found, steps = "", list[int](), []
    for token in tokens:
        records.add(token, LIKELY, reader.written)
        reader.feed(token)
        found += [len(record["bytes"]) for record in records.take(reader.bytes)]
        text = DEMO.decode([t for t in tokens if t not in SILENT]).encode()[: reader.bytes].decode()
        steps.append((text, list(found)))
        if reader.ended:
            return steps
    reader.finish()
    found += [len(record["bytes"]) for record in records.take()]
    return [*steps, (text, found)]


def test_a_special_token_delays_no_record_behind_it() -> None:
    steps = told([SPECIAL, SPECIAL, *DEMO.encode("a b c"), SPECIAL])
    assert all(sum(lengths) == len(text) for text, lengths in steps[:-1])
    assert steps[-1][1].count(0) == 3


def test_a_special_token_before_a_stop_text_is_recorded() -> None:
    (text, lengths) = told([*DEMO.encode("ab"), SPECIAL, *DEMO.encode("stop it")], "stop")[-1]
    assert (text, sum(lengths), lengths.count(0)) == ("ab", 2, 1)


@tries(100)
@given(
    parts=st.lists(st.sampled_from(["a", "b ", "é", "😀", "st", "", "\n"]), max_size=9),
    end=st.sampled_from(["stop", "stop it", "😀😀"]),
)
def test_records_of_a_cut_reply_are_those_before_its_stop(parts: list[str], end: str) -> None:
    """An empty part stands for a special token."""
    tokens = [t for part in parts for t in (DEMO.encode(part) if part else [SPECIAL])]
    text, lengths = told([*tokens, *DEMO.encode(end)], end)[-1]
    whole = "".join(parts) + end
    assert text == whole[: whole.find(end)]
    # The stop text may begin inside the last token.
    assert sum(lengths[:-1]) <= len(text.encode()) <= sum(lengths)
