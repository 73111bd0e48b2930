"""Mistral's tekken.json: tiktoken ranks with their pattern; the special tokens have the first ids.

The format is that of mistral_common (tokens/tokenizers/tekken.py): `default_vocab_size` ids, of
which the first `default_num_special_tokens` are special; of the ranks, more may stand in the file
than are used.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chat.tokenizers.ranks import Cutting, TiktokenTokenizer, check_bytes
from chat.tokenizers.special_tokens import TEKKEN_SPECIALS


def load_tekken(file: Path, content: Mapping[str, Any], sha256: str) -> TiktokenTokenizer:
    """Load the parsed content of a tekken.json; ValueError says what is missing or wrong in it."""
    try:
        config = content["config"]
        pattern, size = str(config["pattern"]), int(config["default_vocab_size"])
        special_tokens = _special_tokens(content, int(config["default_num_special_tokens"]))
        count = len(special_tokens)
        ranks = {
            base64.b64decode(entry["token_bytes"], validate=True): int(entry["rank"]) + count
            for entry in content["vocab"][: size - count]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is no whole tekken.json: {error!r}") from None
    if list(ranks.values()) != list(range(count, size)):
        raise ValueError(
            f"{file} has {len(ranks)} different ordinary tokens, wanted {size - count} with the "
            "ranks from 0 up in order; the file is damaged"
        )
    check_bytes(file, ranks)
    return TiktokenTokenizer.of(file, sha256, ranks, special_tokens, Cutting(pattern))


def _special_tokens(content: Mapping[str, Any], count: int) -> dict[str, int]:
    """Return the special tokens; ids without a name are called as mistral_common calls them."""
    listed = content.get("special_tokens")
    if listed is None:
        named = dict(enumerate(TEKKEN_SPECIALS))
    else:
        named = {int(token["rank"]): str(token["token_str"]) for token in listed}
    names = [named.pop(i, f"<SPECIAL_{i}>") for i in range(count)]
    if named or len(set(names)) < count:
        raise ValueError(f"the special tokens are not {count} of different ids and names")
    return {name: i for i, name in enumerate(names)}
