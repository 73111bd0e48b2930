"""One item of an evaluation as HTML: the prompt, the expected calls and the replies."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from chat.transcript import conversation_lines
from console.page import shown
from evaluation.items import Item
from evaluation.results import Judged

# With more rows the page would be slow to open.
MOST = 200
Row = TypeVar("Row")
STYLE = """
details { margin: .5rem 0 } summary { cursor: pointer; padding: .35rem 0 }
.item { border: 1px solid var(--rule); border-radius: .4rem; padding: 0 .8rem }
.item > summary { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline }
.item > summary::before { content: "▸"; color: var(--soft) }
.item[open] > summary::before { content: "▾" }
.item > summary > b { overflow-wrap: anywhere } .why { color: var(--soft); font-size: .9em }
.sides { display: grid; gap: .6rem; margin: .4rem 0 .8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)) }
.side { background: var(--card); border-radius: .3rem; padding: .5rem .7rem; min-width: 0;
  border-top: 3px solid var(--rule) }
.side.right { border-color: var(--good) } .side.wrong { border-color: var(--bad) }
.side h4 { margin: 0 0 .3rem; font-size: .85rem }
.side ul { margin: .5rem 0 0; padding-left: 1.1rem; font-size: .9em; color: var(--soft);
  overflow-wrap: anywhere }
.side pre { max-height: 22rem; overflow-y: auto }
.good { color: var(--good) } .bad { color: var(--bad) }
pre .bad { font-weight: 600; text-decoration: underline wavy 1px; text-underline-offset: 3px }
"""


def item_html(
    item: Item, answers: Mapping[str, Judged], note: str = "", main: Collection[str] = ()
) -> str:
    """Return an item that unfolds; `answers` are the replies by the title of their model.

    Where `main` names some of them, the others are folded.
    """
    marks = "" if len(answers) == 1 else " ".join(map(_mark, answers, answers.values()))
    told = f'<span class="why">{shown(note)}</span>' if note else ""
    expected = item.expected if isinstance(item.expected, list) else [item.expected]
    wanted = "\n".join(map(_wanted_call, expected)) or "no call"
    sides = [_side("Wanted", "", f"<pre>{wanted}</pre>")]
    folded = list[str]()
    for title, answer in answers.items():
        (folded if main and title not in main else sides).append(_answer(title, answer))
    others = f"<details><summary>The others</summary>{_grid(folded)}</details>" if folded else ""
    prompt = "\n".join(conversation_lines(item.conversation))
    return (
        f'<details class="item"><summary><b>{shown(item.id)}</b>'
        f'<span class="soft">{shown(item.category)}</span>{marks}{told}</summary>'
        f"{_side('Prompt', '', f'<pre>{shown(prompt)}</pre>')}{_grid(sides)}{others}</details>"
    )


def _grid(sides: Sequence[str]) -> str:
    return f'<div class="sides">{"".join(sides)}</div>'


def _mark(title: str, judged: Judged) -> str:
    sign, kind = ("✓", "good") if judged.verdict.correct else ("✗", "bad")
    return f'<span class="{kind}">{sign} {shown(title)}</span>'


def _side(title: str, kind: str, content: str) -> str:
    return f'<div class="side {kind}"><h4>{shown(title)}</h4>{content}</div>'


def _answer(title: str, judged: Judged) -> str:
    right, reply = judged.verdict.correct, judged.answer.reply
    parts = []
    text = reply.content or ("" if reply.tool_calls else judged.answer.text)
    if text or not reply.tool_calls:
        parts.append(shown(text) or '<span class="soft">(nothing)</span>')
    wrong = _wrong_arguments(judged)
    parts += [
        _call(call.name, call.arguments, wrong[place])
        for place, call in enumerate(reply.tool_calls)
    ]
    cut = () if judged.answer.whole else ("cut off at the limit of its length",)
    reasons = "".join(f"<li>{shown(reason)}</li>" for reason in (*judged.verdict.reasons, *cut))
    told = f"<ul>{reasons}</ul>" if reasons else ""
    name = f"{title}: {'right' if right else 'wrong'}"
    return _side(name, "right" if right else "wrong", f"<pre>{chr(10).join(parts)}</pre>{told}")


def _wrong_arguments(judged: Judged) -> Mapping[int | None, set[str]]:
    """Return which arguments are given wrong, by the place of their call in the reply."""
    wrong: dict[int | None, set[str]] = defaultdict(set)
    for argument in judged.verdict.arguments:
        if argument.found and not argument.right:
            wrong[argument.call].add(argument.name)
    return wrong


def _call(name: str, arguments: Mapping[str, Any], wrong: Collection[str] = ()) -> str:
    lines = [f"<b>{shown(name)}</b>"]
    for key, value in arguments.items():
        text = shown(f"{key}: {json.dumps(value, ensure_ascii=False)}")
        lines.append(f'  <span class="bad">{text}</span>' if key in wrong else f"  {text}")
    return "\n".join(lines)


def _wanted_call(expected: Any) -> str:
    """Return a call as its name and lines of arguments; BFCL lists what it accepts for each."""
    if isinstance(expected, Mapping) and expected.keys() == {"name", "arguments"}:
        return _call(expected["name"], expected["arguments"])
    if isinstance(expected, Mapping) and len(expected) == 1:
        ((name, accepted),) = expected.items()
        if isinstance(accepted, Mapping):
            lines = (f"  {shown(f'{key}: {_any_of(values)}')}" for key, values in accepted.items())
            return "\n".join([f"<b>{shown(str(name))}</b>", *lines])
    return shown(
        expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)
    )


def _any_of(accepted: Any) -> str:
    values = accepted if isinstance(accepted, list) else [accepted]
    texts = [json.dumps(item, ensure_ascii=False) for item in values if item != ""]
    return " or ".join([*texts, "left out"] if "" in values else texts)


def first_of(rows: Sequence[Row], render: Callable[[Row], str], where: str = "") -> Iterator[str]:
    """Yield as many rows as a page holds, and say how many more there are, and where."""
    yield from map(render, rows[:MOST])
    if len(rows) > MOST:
        yield f'<p class="soft">{len(rows) - MOST:,} more are not shown here{shown(where)}.</p>'
