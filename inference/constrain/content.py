"""Replies that are JSON of one schema and nothing else."""

from collections.abc import Mapping
from typing import Any

from chat.conversation import Tool
from chat.formats.format import ChatFormat
from chat.formats.rendering import stop_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.constrain.completions import completions_of
from inference.constrain.constraint import CallConstraint
from inference.constrain.ending import LONGEST_ENDING
from inference.constrain.finished_replies import FinishedReply, content_read
from inference.constrain.fitting import prepared, refusal_of, write_schema
from inference.constrain.preparation import bounded_work
from inference.constrain.schemas import enforceable
from inference.constrain.vocabulary import prepare_vocabulary, vocabulary_source


@bounded_work()
def content_constraint(
    schema: Mapping[str, Any],
    name: str,
    format: ChatFormat,
    tokenizer: Tokenizer,
    room: int = LONGEST_ENDING,
) -> CallConstraint:
    """Return what makes one reply a JSON object of this schema, of at most `room` tokens.

    Raises ToolRefused as `constraint_for` does for a forced call; it calls the schema by its name.
    """
    vocabulary = prepare_vocabulary(vocabulary_source(tokenizer), stop_ids(format, tokenizer))
    wanted = Tool(name, "", schema)
    text = write_schema(enforceable(wanted))
    blank = '" "? ' if format.reply_joins or vocabulary.blank else ""
    matcher = prepared(vocabulary, f"start: {blank}content\ncontent: %json {text}")
    if problem := matcher.get_error():
        raise refusal_of(vocabulary, [wanted], problem)
    constraint = CallConstraint(vocabulary, matcher.deep_copy(), b"{", completions_of((text,)))
    constraint.finished = FinishedReply(content_read(wanted), tokenizer)
    constraint.force(wanted, room)
    return constraint
