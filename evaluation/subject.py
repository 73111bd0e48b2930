"""The subject of an evaluation: the model, the endpoint or the recorded outputs that flags name.

Flags are those of scripts/evaluate.py by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chat.formats.known import find_format
from data.plain_text import Text
from evaluation.answers.answer_log import AnswerLog
from evaluation.answers.predictions import predicted, read_predictions
from evaluation.answers.turns import answers_with_turns
from evaluation.items import Item
from evaluation.judging import Outputs, judge_all
from evaluation.regression import Against
from evaluation.results import Results
from evaluation.scoring.text_loss import score_text
from inference.chat_model import Answer, ChatModel, SkippedItem
from inference.generate import Decoding
from weights.chat_record import PROPOSED_FORMAT

if TYPE_CHECKING:
    from inference.loading import Source

Flags = Mapping[str, Any]
_SAMPLING = ("max_new_tokens", "temperature", "top_p", "seed")
# Flags that score some of the items that recorded outputs may be of.
_CHOOSING = ("limit", "categories", "held_out_of", "benchmark_dir")


def model_source(flags: Flags) -> "Source":
    """Return where the model that is named comes from, and how it is stored."""
    from inference.loading import Source

    names = ("ckpt_dir", "lora_ckpt_path", "tokenizer_path", "chat_format", "chat_format_anyway")
    return Source(**{name: flags[name] for name in (*names, "quantization")})


def spoken_format(flags: Flags) -> str | None:
    """Return the chat format that the subject is spoken to in; None where an endpoint decides."""
    if flags["ckpt_dir"]:
        return model_source(flags).format().name
    return None if flags["endpoint"] else find_format(flags["chat_format"] or PROPOSED_FORMAT).name


def decoding_of(flags: Flags) -> Decoding:
    """Return how a model's tokens are chosen; the stop tokens are the chat format's."""
    sampling = {name: flags[name] for name in _SAMPLING}
    limits = {"max_length": flags["max_seq_len"], "batch_size": flags["batch_size"]}
    return Decoding((), **limits, **sampling, cuda_graphs=flags["cuda_graphs"])


def settings_of(flags: Flags) -> dict[str, Any]:
    """Return the flags that were given, as results keep them."""
    return {name: value for name, value in flags.items() if value is not None}


def score_subject(
    items: Sequence[Item],
    text: Text | None,
    flags: Flags,
    outputs: Outputs,
    against: Against | None = None,
) -> Results:
    """Let the subject answer the items and read the text; judge its answers and write them."""
    chat_model = _load(flags) if flags["ckpt_dir"] else None
    score = score_text(chat_model, text, flags["max_seq_len"]) if chat_model and text else None
    log = None
    if flags["endpoint"] and flags["output_file"]:
        log = AnswerLog.beside(flags["output_file"])
    answers = _answers(items, flags, chat_model, log)
    results = judge_all(items, answers, settings_of(flags), outputs, score, against)
    if log is not None:
        log.remove()
    return results


def _load(flags: Flags) -> ChatModel:
    from inference.loading import load_chat_model
    from inference.passes import check_cuda_graphs

    check_cuda_graphs(flags["cuda_graphs"])
    return load_chat_model(model_source(flags))


def _answers(
    items: Sequence[Item], flags: Flags, chat_model: ChatModel | None, log: AnswerLog | None
) -> Iterator[tuple[int, Answer | SkippedItem]]:
    if not items:
        return iter(())
    if path := flags["predictions"]:
        chosen = any(flags[name] for name in _CHOOSING)
        predictions = read_predictions(path, find_format(flags["chat_format"]))
        return predicted(items, predictions, path, chosen)
    if url := flags["endpoint"]:
        from evaluation.answers.endpoint import Endpoint, Request

        sampling = {name: flags[name] for name in _SAMPLING}
        at_once = flags["batch_size"]
        endpoint = Endpoint(url, Request(flags["model"], at_once=at_once, **sampling), log)
        return answers_with_turns(
            items, lambda asked: endpoint.answers([item.conversation for item in asked]), at_once
        )
    from evaluation.answers.model import model_answers

    assert chat_model is not None
    return model_answers(chat_model, items, decoding_of(flags), flags["constrain"])
