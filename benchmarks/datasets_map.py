"""What build_dataset.py does, done with `datasets.map`; benchmarks/build_million.py runs it.

Each row becomes a conversation, is checked, rendered and tokenised with the same code and the same
vocabulary; `datasets` reads the file, calls the function, and writes and splits the result.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

from chat.conversation import Conversation
from chat.formats.known import find_format
from chat.formats.rendering import check_readable, encode_conversation
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from data.conversations import content_sha256, fraction


@cache
def tokenizer(file: str) -> Tokenizer:
    """Load the vocabulary once in each process."""
    return load_tokenizer(file)


def encode(row: dict[str, str], file: str) -> dict[str, Any]:
    """Return ids, mask and place of a row, whose tools and messages are lines of JSON."""
    import json

    conversation = Conversation.from_record(json.loads(row["text"]))
    format = find_format("llama3")
    check_readable(conversation, format)
    tokens = encode_conversation(conversation, format, tokenizer(file))
    place = fraction(content_sha256(conversation))
    origin = {"id": conversation.id, "source": conversation.source, "sha256": conversation.sha256}
    return {"ids": tokens.ids, "trained": tokens.trained, "place": place, **origin}


def main() -> None:
    """Tokenise a file of conversations into two datasets on disk."""
    import datasets

    parser = argparse.ArgumentParser()
    for flag in ("--source-file", "--tokenizer-file", "--save-dir"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--processes", type=int, required=True)
    given = parser.parse_args()
    save_dir = Path(given.save_dir)
    # As text: arguments of any shape are no columns of a table.
    rows = datasets.load_dataset(
        "text", data_files=given.source_file, split="train", cache_dir=str(save_dir / "cache")
    )
    features = datasets.Features(
        {
            "ids": datasets.Sequence(datasets.Value("uint32")),
            "trained": datasets.Sequence(datasets.Value("bool")),
            "place": datasets.Value("float64"),
            **{name: datasets.Value("string") for name in ("id", "source", "sha256")},
        }
    )
    encoded = rows.map(
        encode,
        fn_kwargs={"file": given.tokenizer_file},
        num_proc=given.processes,
        remove_columns=["text"],
        features=features,
    )
    splits = encoded.train_test_split(test_size=0.15, seed=3)
    splits.save_to_disk(str(save_dir / "splits"), num_proc=given.processes)


if __name__ == "__main__":
    main()
