"""What scripts/evaluate.py wrote, read back for the page."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.failures import TYPES, failure_type, read_verdicts
from evaluation.figures import Figure, Figures
from evaluation.items import Item, conversation_items
from evaluation.results import Judged
from inference.chat_model import Answer
from teaching.request import Request, larger_command, next_commands, scores_file

SHOWN = ("balanced", "exact_match", "irrelevance", "correct")
NOTHING_LEARNT = (
    "Nothing was learnt: calls right 0% before and after. Teach it with more conversations "
    "(--count), more steps (--training.epochs) or a larger base (--model-dir)."
)
_UNREAD = "not read as a call: "


def own_figures(results_file: Path) -> Figures:
    """Return the leading figures of a user's own conversations, which tell no behaviours."""
    found = json.loads(results_file.read_text(encoding="utf-8"))["summary"]["figures"]
    return {
        name: Figure(**{**found[name], "sides": tuple(map(tuple, found[name].get("sides", ())))})
        for name in SHOWN
        if name in found
    }


def nothing_learnt(request: Request) -> bool:
    """Return whether no call was right on any part, neither before nor after."""
    files = (scores_file(model, part) for model in ("base", "tuned") for part in request.parts)
    verdicts = (verdict for file in files for verdict in read_verdicts(request.directory / file))
    return not any(verdict["verdict"] and verdict["called"] for verdict in verdicts)


def commands_after(request: Request) -> tuple[str, ...]:
    """Return what to run next: a larger run where nothing was learnt, else what uses the model."""
    return (larger_command(request),) if nothing_learnt(request) else next_commands(request)


def perplexities(directory: Path) -> tuple[float, float]:
    """Return the perplexity of the plain text before and after; `directory` is the run's."""
    files = [directory / scores_file(model, "taught") for model in ("base", "tuned")]
    texts = [json.loads(file.read_text(encoding="utf-8"))["plain_text"] for file in files]
    before, after = (text["figures"]["perplexity"]["value"] for text in texts)
    return before, after


def worst_failures(results_file: Path, prompts_file: Path, most: int) -> list[tuple[str, Judged]]:
    """Return up to `most` failures with their types: of each type in turn, frequent types first."""
    wrong: dict[str, list[Mapping[str, Any]]] = {name: [] for name in TYPES}
    for verdict in read_verdicts(results_file):
        if (type := failure_type(verdict)) is not None:
            wrong[type].append(verdict)
    ranked = sorted(wrong.items(), key=lambda pair: -len(pair[1]))
    longest = max((len(found) for found in wrong.values()), default=0)
    turns = [
        (type, found[place])
        for place in range(min(longest, most))
        for type, found in ranked
        if place < len(found)
    ]
    chosen = turns[:most]
    items = _items(prompts_file, {str(verdict["id"]) for _, verdict in chosen})
    return [(type, _judged(verdict, items[str(verdict["id"])])) for type, verdict in chosen]


def _items(prompts_file: Path, ids: Iterable[str]) -> dict[str, Item]:
    wanted = set(ids)
    return {item.id: item for item in conversation_items(prompts_file) if item.id in wanted}


def _judged(verdict: Mapping[str, Any], item: Item) -> Judged:
    """Return a record of a verdict as what was judged."""
    calls = tuple(ToolCall(call["name"], call["arguments"]) for call in verdict["calls"])
    unread = [reason for reason in verdict["reasons"] if reason.startswith(_UNREAD)]
    problem = unread[0].removeprefix(_UNREAD) if unread else None
    reply = Reply("" if calls or problem else verdict["text"], calls, problem)
    return Judged(item, Answer(verdict["text"], reply, not verdict["cut_off"]), item.judge(reply))
