"""What was drawn in a step, as a file: JSON Lines, one episode a line, in the order of the prompts.

A run that goes on reads what it drew before, bit for bit: Python writes numbers so that they are
read back as they were. Of an episode, `turns` have the tokens drawn with their log-probabilities,
and after the first turn the tokens that the model had read; `said` is the text of it all.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chat.conversation import to_json
from rewards.episodes import Episode
from rewards.judging import Judgement
from storage.atomic import new_file

DIRECTORY = "rollouts"
ABOUT_FILE = "about.json"

Record = Mapping[str, Any]


def file_of(run_dir: Path, draw: int) -> Path:
    """Return the file of a draw, counted from 0; draws are named by their count from 1."""
    return run_dir / DIRECTORY / f"draw-{draw + 1:06d}.jsonl"


def episode_record(episode: Episode, judgement: Judgement) -> dict[str, Any]:
    """Return the JSON object of an episode and what it earned."""
    asked = len(episode.task.item.conversation.messages)
    said = episode.conversation.messages[asked:]
    return {
        "id": episode.task.id,
        "copy": episode.copy,
        "reward": judgement.reward,
        "parts": dict(judgement.parts),
        "mistake": judgement.kind,
        "ended": episode.ended,
        "said": [message.to_record() for message in said],
        "turns": [
            {
                **({"prompt": turn.prompt} if number else {}),
                "tokens": turn.tokens,
                "logprobs": list(turn.logprobs),
            }
            for number, turn in enumerate(episode.turns)
        ],
    }


def write_records(file: Path, records: Sequence[Record]) -> None:
    """Write the episodes of a draw, whole or not at all."""
    with new_file(file) as partial, partial.open("w", encoding="utf-8") as stream:
        for record in records:
            # Half a surrogate pair in a text cannot be encoded; JSON has it escaped.
            stream.write(json.dumps(record) + "\n")


def read_records(file: Path, count: int) -> list[Record] | None:
    """Return the episodes of a draw, None where it was not drawn yet.

    ValueError where the file does not hold `count` of them.
    """
    if not file.is_file():
        return None
    try:
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}; {_REMOVE}") from error
    if len(records) != count:
        raise ValueError(f"{file} holds {len(records)} episodes, wanted {count}; {_REMOVE}")
    return records


_REMOVE = "remove it, and its replies are drawn again"


def write_about(run_dir: Path, about: Mapping[str, str]) -> None:
    """Write what all draws of a run follow from."""
    with new_file(run_dir / DIRECTORY / ABOUT_FILE) as partial:
        partial.write_text(to_json(dict(about)) + "\n", encoding="utf-8")


def check_about(run_dir: Path, about: Mapping[str, str]) -> None:
    """Raise ValueError where a run drew its replies from something else than it would now."""
    file = run_dir / DIRECTORY / ABOUT_FILE
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, value in about.items():
        if before.get(name, value) != value:
            raise ValueError(
                f"{name} is not as it was when this run began, as {file} tells; put it back, or "
                "use another --name"
            )
