"""What is scored: turns of held-out conversations, BFCL's tasks, NexusRaven's queries."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Message, ToolCall, is_learnt
from chat.formats.call_syntax import Reply
from chat.schemas.validation import read_tool
from console.flags import UsageError, check_known
from data.benchmarks.bfcl_folder import CATEGORIES, LEFT_OUT, answers_of, find_categories
from data.benchmarks.bfcl_tasks import Task, category_of, read_tasks
from data.benchmarks.bfcl_turns import TURN_CATEGORIES as PLAYED_CATEGORIES
from data.benchmarks.bfcl_turns import TurnTask, read_turn_tasks
from data.benchmarks.nexusraven import Query, read_queries
from data.cleaning.any_layout import read_any_layout
from data.reading.rows import read_rows
from data.tokenized import TokenizedDataset
from evaluation.scoring import bfcl
from evaluation.scoring.bfcl_turns import BfclPackage, missing_package
from evaluation.scoring.calls import ExpectedCall, Verdict, same_value, score

BENCHMARKS = ("bfcl", "nexusraven")
# What a turn of a conversation may be.
_KINDS = ("call", "parallel", "no_call")
TURN_CATEGORIES = (*_KINDS, *(f"{kind}_after_result" for kind in _KINDS), "no_tools")


@dataclass(frozen=True)
class Item:
    """A conversation to be answered, and the function that judges the reply.

    conversation_id: Items that share it are not independent observations.
    expected: The expected reply, as JSON for people to read.
    task: For a task of several turns, what is played from `conversation` on; the reply that is
        judged is then all that was said.
    """

    id: str
    conversation_id: str
    category: str
    conversation: Conversation
    expected: Any
    judge: Callable[[Reply], Verdict]
    task: TurnTask | None = None


def read_items(
    dataset_file: str | None = None,
    held_out_of: str | None = None,
    benchmark: str | None = None,
    benchmark_file: str | None = None,
    answers_file: str | None = None,
    tools_file: str | None = None,
    limit: int | None = None,
    categories: str | None = None,
    benchmark_dir: str | None = None,
    tell: Callable[[str], None] = print,
) -> list[Item]:
    """Read the items to score, at most the first `limit`; see the flags of scripts/evaluate.py.

    Of a folder of categories, the first `limit` of each; `tell` is called with those left out.
    UsageError for a flag's value that is none.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}, wanted 1 or more")
    if benchmark is not None and benchmark not in BENCHMARKS:
        raise UsageError(f"no benchmark {benchmark!r}; there are {', '.join(BENCHMARKS)}")
    wanted = None if categories is None else [name.strip() for name in categories.split(",")]
    if wanted and benchmark != "nexusraven":
        check_categories(wanted, CATEGORIES if benchmark else TURN_CATEGORIES)
    if benchmark_dir is not None:
        of_folder = list(_folder_items(benchmark_dir, wanted, limit, tell))
        if not of_folder:
            raise ValueError(f"{benchmark_dir} has no category that can be scored here")
        return of_folder
    if benchmark is None:
        if dataset_file is None:
            raise ValueError("nothing to score: name --dataset-file, or --benchmark and its files")
        items: Iterable[Item] = conversation_items(dataset_file, _held_out(held_out_of))
    else:
        items = _benchmark_items(benchmark, benchmark_file, answers_file, tools_file)
    if wanted is not None:
        if benchmark == "nexusraven":
            # Its categories are the data sets that its queries name.
            items = list(items)
            check_categories(wanted, dict.fromkeys(item.category for item in items))
        items = _of_categories(items, wanted)
    found = list(islice(items, limit))
    if not found:
        held_out = f" among those held out by {held_out_of}" if held_out_of else ""
        raise ValueError(
            f"{benchmark_file} asks nothing"
            if benchmark
            else f"{dataset_file} has no turn of an assistant to score{held_out}"
        )
    return found


def check_categories(wanted: Sequence[str], known: Iterable[str]) -> None:
    """Raise UsageError for a word that is no category."""
    known = list(known)
    for name in wanted:
        check_known("--categories", name, known)


def _of_categories(items: Iterable[Item], wanted: Sequence[str]) -> Iterator[Item]:
    """Yield the items of these categories; ValueError for one that no item has."""
    known: dict[str, None] = {}
    for item in items:
        known[item.category] = None
        if item.category in wanted:
            yield item
    for name in wanted:
        if name not in known:
            raise ValueError(f"no item is of the category {name!r}; there are {', '.join(known)}")


def _folder_items(
    folder: str, wanted: Sequence[str] | None, limit: int | None, tell: Callable[[str], None]
) -> Iterator[Item]:
    """Yield the first `limit` items of every category of BFCL that a folder holds."""
    files = find_categories(folder)
    for name in wanted or ():
        if name not in files:
            raise ValueError(f"{folder} has no file of {name}; there are {', '.join(files)}")
    for category, path in files.items():
        if wanted is not None and category not in wanted:
            continue
        reason = LEFT_OUT.get(category)
        if category in PLAYED_CATEGORIES and wanted is None:
            reason = missing_package()
        if reason:
            tell(f"{category} is left out: {reason}")
        else:
            yield from islice(_bfcl_items(path, answers_of(path)), limit)


def _benchmark_items(
    benchmark: str, file: str | None, answers_file: str | None, tools_file: str | None
) -> Iterable[Item]:
    if file is None:
        raise ValueError(f"--benchmark {benchmark} needs --benchmark-file, its questions")
    idle = answers_file if benchmark == "nexusraven" else tools_file
    if idle is not None:
        flag, other = ("answers", "bfcl") if benchmark == "nexusraven" else ("tools", "nexusraven")
        raise UsageError(f"--{flag}-file goes with --benchmark {other}, and not with {benchmark}")
    if benchmark == "bfcl":
        return _bfcl_items(file, answers_file)
    if tools_file is None:
        raise ValueError("--benchmark nexusraven needs --tools-file, its standardized_api_list")
    return map(query_item, read_queries(file, tools_file))


def _bfcl_items(file: Path | str, answers_file: Path | str | None) -> Iterator[Item]:
    first = next(iter(read_rows(file))).value
    identity = first.get("id") if isinstance(first, dict) else None
    if isinstance(identity, str) and category_of(identity) in PLAYED_CATEGORIES:
        package = BfclPackage()
        return (played_item(task, package) for task in read_turn_tasks(file, answers_file))
    return map(task_item, read_tasks(file, answers_file))


def _held_out(dataset_dir: str | None) -> Collection[str] | None:
    """Return the sha256s of the conversations that a tokenised dataset keeps for validation."""
    if dataset_dir is None:
        return None
    return {origin.sha256 for origin in TokenizedDataset.open(dataset_dir, "validation").origins()}


def conversation_items(path: Path | str, only: Collection[str] | None = None) -> Iterator[Item]:
    """Yield each assistant's turn that answers a user or a tool's result.

    `only` names the sha256s of the conversations to take. The id of an item is that of its
    conversation and the number of the message, counted from 0.
    """
    seen: set[str] = set()
    for conversation in read_any_layout(path):
        if only is not None and conversation.sha256 not in only:
            continue
        if conversation.id in seen:
            raise ValueError(f"{path} has the conversation {conversation.id} twice")
        seen.add(conversation.id)
        yield from turn_items(conversation)


def turn_items(conversation: Conversation) -> Iterator[Item]:
    """Yield an item for each learnt turn that answers a user or a tool's result."""
    for index, (before, message) in enumerate(pairwise(conversation.messages), start=1):
        if is_learnt(message) and before.role in ("user", "tool"):
            yield _turn_item(conversation, index)


def _turn_item(conversation: Conversation, index: int) -> Item:
    message, tools = conversation.messages[index], conversation.tools
    calls = message.tool_calls
    kind = ("no_call", "call")[len(calls)] if len(calls) < 2 else "parallel"
    if not tools:
        kind = "no_tools"
    elif conversation.messages[index - 1].role == "tool":
        kind += "_after_result"
    return Item(
        f"{conversation.id}/{index}",
        # Ids may come again in another file that a dataset was built from.
        conversation.sha256 or conversation.id,
        kind,
        Conversation(conversation.messages[:index], tools),
        [call_record(call) for call in calls] or message.content,
        lambda reply: score(calls, reply, tools),
    )


def task_item(task: Task) -> Item:
    """Return the item of one of BFCL's tasks."""
    tools = bfcl.offered_tools(task)
    expected = [{name: accepted} for name, accepted in task.answers]
    return Item(
        task.id,
        task.id,
        task.category,
        Conversation(task.messages, tools),
        expected or ("any call" if task.category == "live_relevance" else "no call"),
        lambda reply: bfcl.judge(task, reply, tools),
    )


def played_item(task: TurnTask, package: BfclPackage) -> Item:
    """Return the item of one of BFCL's tasks of several turns, which `package` judges."""
    answers = [", ".join(turn) or "no call" for turn in task.answers]
    return Item(
        task.id,
        task.id,
        task.category,
        Conversation(task.turns[0], tuple(map(read_tool, task.functions))),
        "\n".join(f"turn {number}: {calls}" for number, calls in enumerate(answers, start=1)),
        lambda reply: package.judge(task, reply),
        task,
    )


def query_item(query: Query) -> Item:
    """Return the item of one of NexusRaven's queries.

    As in NexusRaven, arguments that are left out take their default before they are compared.
    """
    tools = tuple(function.tool for function in query.functions)
    return Item(
        query.id,
        query.id,
        query.dataset,
        Conversation((Message("user", query.prompt),), tools),
        [call_record(query.call)],
        lambda reply: score([_filled_in(query)], reply, tools),
    )


def _filled_in(query: Query) -> ExpectedCall:
    defaults = query.called.defaults
    filled = {**defaults, **query.call.arguments}
    required = frozenset(
        name
        for name, value in filled.items()
        if name not in defaults or not same_value(defaults[name], value)
    )
    given = query.call.arguments
    return ExpectedCall(
        query.call.name,
        required,
        lambda name, value: name in filled and same_value(filled[name], value),
        lambda name, value: name in given and same_value(given[name], value, strictly=True),
    )


def call_record(call: ToolCall) -> dict[str, Any]:
    """Return a call as JSON of its name and arguments."""
    return {"name": call.name, "arguments": dict(call.arguments)}
