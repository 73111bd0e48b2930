"""The page of scripts/teach.py: before and after, failures, what was generated, what is next."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from chat.transcript import conversation_lines
from console.charts import Bar, Chart, bars
from console.journey import Done
from console.page import document, shown, table
from data.cleaning.any_layout import read_any_layout
from evaluation.behaviours import ALL_CALLS, ASKING, KINDS, NO_CALL, VALID, figures_by_behaviour
from evaluation.failures import TYPES, count_failures
from evaluation.figures import BALANCED, Figure, Figures, cells, percent
from evaluation.pages.evaluation import INTERVALS
from evaluation.pages.side_by_side import STYLE, item_html
from storage.atomic import new_file
from synthesis.behaviours import BEHAVIOURS
from teaching.request import MODELS, PARTS, Request, scores_file
from teaching.scores import (
    NOTHING_LEARNT,
    commands_after,
    nothing_learnt,
    own_figures,
    perplexities,
    worst_failures,
)

# How many failures of each part the page shows, and how many generated conversations.
WORST, EXAMPLES = 12, 3
# The rows of a part's table.
ROWS = (BALANCED, *KINDS, VALID)
ANY_TEXT = (
    "A call is right as a whole or not at all: the tool, every argument and every value, and every "
    "call where several are wanted. Where none is wanted any text is right, so a base that never "
    "calls is right there; its balanced figure says what that is worth. Constrained is the "
    "fine-tuned model with its calls held to the tools' schemas. "
)


def write_page(file: Path, request: Request, done: Sequence[Done]) -> None:
    """Write the page of a finished run."""
    title = f"{len(request.teachable.taught)} tools taught to {Path(request.flags.model_dir).name}"
    text = document(title, _parts(request, done), STYLE)
    with new_file(file) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _parts(request: Request, done: Sequence[Done]) -> Iterator[str]:
    figures = {part: _figures(request.directory, part) for part in request.parts}
    taught = "your tools" if request.teachable.unsplit else "your tools with new values"
    for part, what in (("taught", taught), ("held_out", "held-out tools")):
        if part in figures:
            yield f"<p><strong>{shown(_verdict(what, figures[part]))}</strong></p>"
    if nothing_learnt(request):
        yield f'<p class="bad">{NOTHING_LEARNT}</p>'
    yield f"<p>{shown(ANY_TEXT + INTERVALS)}</p>"
    if not request.teachable.unsplit:
        yield "<p>No prompt that is scored has a value of the training, but for choices.</p>"
    for part, models in figures.items():
        yield from _before_and_after(part, models)
    if request.flags.text_file:
        yield _forgotten(request)
    if not request.teachable.held_out:
        yield '<p class="soft">No tool was held out: that takes four tools or more.</p>'
    if request.flags.data and not request.own_scored:
        yield '<p class="soft">Your conversations are too few to keep some from the training.</p>'
    if known := _held_out_in_data(request):
        yield f'<p class="bad">Held out, and yet in your conversations: {shown(known)}.</p>'
    if unsplit := request.teachable.unsplit:
        yield (
            f'<p class="bad">No value was held out, so prompts share theirs with the training: '
            f"{shown(', '.join(unsplit))} have too few.</p>"
        )
    if request.flags.rounds > 1:
        yield from _rounds(request)
    yield from _failures(request)
    yield from _generated(request)
    yield from _next(request)
    yield "<h2>Every step</h2>"
    steps = [(step.title, f"{step.seconds:.1f}", step.outcome) for step in done]
    yield table(("step", "seconds", "what came out"), steps)
    commands = "\n".join(shown(step.command) for step in done)
    yield f"<details><summary>The commands</summary><pre>{commands}</pre></details>"


def _forgotten(request: Request) -> str:
    """Return what the model lost on plain text; a higher perplexity is worse."""
    before, after = perplexities(request.directory)
    return (
        f"<p>Plain text ({shown(str(request.flags.text_file))}): perplexity {before:.2f} before, "
        f"{after:.2f} after, {after / before - 1:+.1%}. Higher is worse.</p>"
    )


def _held_out_in_data(request: Request) -> str:
    """Return the held-out tools that the user's own conversations offer, which are trained."""
    if not request.flags.data:
        return ""
    rows = read_any_layout(request.directory / "own.jsonl")
    offered = {tool.name for conversation in rows for tool in conversation.tools}
    return ", ".join(sorted(offered.intersection(request.teachable.held_out)))


def _figures(directory: Path, part: str) -> dict[str, Figures]:
    read = own_figures if part == "own" else figures_by_behaviour
    return {model: read(directory / scores_file(model, part)) for model in MODELS}


def _verdict(what: str, models: dict[str, Figures]) -> str:
    before, after = models["base"], models["tuned"]
    names = {ALL_CALLS: "calls", ASKING: "asking for what is missing", NO_CALL: "not calling"}
    parts = [
        f"{text} {percent(before[name].value)} to {percent(after[name].value)}"
        for name, text in names.items()
        if name in before and name in after
    ]
    return f"Right before and after, on {what}: {', '.join(parts)}."


def _before_and_after(part: str, models: dict[str, Figures]) -> Iterator[str]:
    yield f"<h2>{shown(PARTS[part].capitalize())}</h2>"
    names = [name for name in ROWS if any(name in figures for figures in models.values())]
    names = names if part != "own" else list(models["tuned"])
    leading = ALL_CALLS if part != "own" else names[0]
    charted = [
        Bar(MODELS[model], found.value, percent(found.value), found.low, found.high)
        for model, figures in models.items()
        if (found := figures.get(leading)) is not None
    ]
    yield bars(Chart(leading, tuple(charted), full=1.0))
    rows = [
        (name, _count(models, name), *(_cell(figures.get(name)) for figures in models.values()))
        for name in names
    ]
    yield table(("wanted", "of", *MODELS.values()), rows)
    files = ", ".join(scores_file(model, part).replace(".json", ".html") for model in models)
    yield f'<p class="soft">All replies, beside this page: {shown(files)}.</p>'


def _count(models: dict[str, Figures], name: str) -> str:
    counts = {figures[name].count for figures in models.values() if name in figures}
    # Of calls that were made, every model has its own number.
    return f"{max(counts):,}" if name != VALID and counts else ""


def _cell(figure: Figure | None) -> str:
    return "none made" if figure is None else f"{percent(figure.value)} ({cells(figure)[0]})"


def _rounds(request: Request) -> Iterator[str]:
    """Yield the rounds side by side: what failed on prompts to learn from, and what was taught."""
    numbers = range(1, request.flags.rounds + 1)
    files = [request.directory / scores_file(f"round-{number}", "practice") for number in numbers]
    heads = [f"round {number}" for number in numbers]
    yield (
        "<h2>The rounds</h2><p>Scored on prompts made to learn from, which no other figure uses. "
        "What fails in one round is generated more for the next, with the trained tools alone.</p>"
    )
    found = [figures_by_behaviour(file) for file in files]
    names = [name for name in ROWS if any(name in figures for figures in found)]
    rows = [(name, *(_cell(figures.get(name)) for figures in found)) for name in names]
    yield table(("right", *heads), rows)
    failures = [count_failures(file) for file in files]
    typed = [(name, *(str(counts[name]) for counts in failures)) for name in TYPES]
    yield "<h3>Wrong replies by what is wrong</h3>" + table(("failure", *heads), typed)
    yield "<h3>Conversations generated for each round</h3>"
    made = [_behaviours(request.directory / f"round-{number}.jsonl") for number in numbers]
    rows = [(name, *(f"{counts[name]:,}" for counts in made)) for name in BEHAVIOURS]
    yield table(("behaviour", *heads), rows)


def _failures(request: Request) -> Iterator[str]:
    yield "<h2>The worst failures of the fine-tuned model</h2>"
    for part in request.parts:
        file = request.directory / scores_file("tuned", part)
        counts = {name: count for name, count in count_failures(file).items() if count}
        yield f"<h3>{shown(PARTS[part].capitalize())}</h3>"
        if not counts:
            yield "<p>None.</p>"
            continue
        ranked = sorted(counts.items(), key=lambda pair: -pair[1])
        yield table(("failure", "replies"), [(name, str(count)) for name, count in ranked])
        for type, judged in worst_failures(file, request.directory / f"{part}.jsonl", WORST):
            yield item_html(judged.item, {MODELS["tuned"]: judged}, type)


def _behaviours(file: Path) -> Counter[str]:
    """Return how many conversations of each behaviour a generated file holds."""
    with file.open(encoding="utf-8") as lines:
        return Counter(str(json.loads(line)["id"]).split("-")[1] for line in lines)


def _generated(request: Request) -> Iterator[str]:
    """Yield how many conversations there are, of which tools, and the first of them."""
    teachable, tools_file = request.teachable, request.from_root(request.teachable.file)
    yield "<h2>What was generated</h2>"
    held_out = shown(", ".join(teachable.held_out)) or "none"
    yield f"<p>Trained tools: {shown(', '.join(teachable.taught))}. Held out: {held_out}.</p>"
    yield (
        f"<p>Values and results are examples of {shown(tools_file)}; where your tools bring "
        "none, they were invented from the schemas. Better ones there make a better model.</p>"
    )
    names = [f"round-{number}" for number in range(1, request.flags.rounds + 1)]
    scored = [part for part in request.parts if part != "own"]
    files = names + ["general"] * bool(request.general_count) + scored
    files += ["practice"] * (request.flags.rounds > 1)
    made = [_behaviours(request.directory / f"{name}.jsonl") for name in files]
    rows = [
        (name, behaviour.meaning, *(f"{counts[name]:,}" for counts in made))
        for name, behaviour in BEHAVIOURS.items()
    ]
    heads = [f"scored: {name.replace('_', ' ')}" if name in scored else name for name in files]
    yield table(("behaviour", "what happens", *heads), rows)
    for conversation in islice(read_any_layout(request.directory / "round-1.jsonl"), EXAMPLES):
        text = shown("\n".join(conversation_lines(conversation)))
        yield f"<details><summary>{shown(conversation.id)}</summary><pre>{text}</pre></details>"


def _next(request: Request) -> Iterator[str]:
    yield "<h2>What to run next</h2>"
    commands = "\n".join(shown(command) for command in commands_after(request))
    yield f"<pre>{commands}</pre>"
    yield (
        "<p>To get better: real examples and results in the tools file, --data with your own "
        "conversations, a larger --count, and --rounds 2, which teaches more of what failed.</p>"
    )
