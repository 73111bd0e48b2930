"""Choose the next token of each row of a batch, as its decoding and its constraint allow.

Shapes: N rows, V vocabulary.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from inference.sampling import (
    choose_each,
    forbid_unknown_ids,
    log_normalisers,
    read_likelihood,
    token_logprobs,
)

if TYPE_CHECKING:
    from inference.generate import Row


def choose_allowed(logits: Tensor, rows: Sequence["Row"], draws: Tensor) -> list[int]:
    """Choose a token for each row of logits [N, V], as its constraint allows; changes logits.

    Rows get the likelihood and the log-probability of the token where their decoding wants them.
    """
    settings = [(row.decoding.temperature, row.decoding.top_p) for row in rows]
    # Chosen tokens keep their logits below; what all logits add up to is known only now.
    kept = [place for place, row in enumerate(rows) if row.decoding.keep_logprobs]
    warmth = [settings[place][0] or 1.0 for place in kept]
    normalisers = log_normalisers(logits, kept, warmth) if kept else None
    forbid_unknown_ids(logits, [(row.decoding.vocab_size, row.decoding.unused_ids) for row in rows])
    known = {
        row: logits[place].float().log_softmax(-1)
        for place, row in enumerate(rows)
        if row.decoding.logprobs is not None
    }
    for place, row in enumerate(rows):
        if row.constraint is not None:
            row.constraint.restrict(logits[place], row.room)
    tokens = choose_each(logits, settings, draws)
    for place, row in enumerate(rows):
        while row.constraint is not None and not row.constraint.accept(tokens[place], row.room - 1):
            own = logits[place : place + 1]
            own[0, tokens[place]] = float("-inf")
            row.constraint.restrict(own[0], row.room)
            (tokens[place],) = choose_each(own, [settings[place]], draws[place : place + 1])
        if row in known:
            row.likelihood = read_likelihood(known[row], tokens[place], row.decoding.logprobs or 0)
    if normalisers is not None:
        found = token_logprobs(logits, kept, [tokens[place] for place in kept], warmth, normalisers)
        for place, logprob in zip(kept, found, strict=True):
            rows[place].logprob = logprob
    return tokens
