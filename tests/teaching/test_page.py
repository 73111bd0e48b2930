import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import ROOT
from page_parser import read_page

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from console.journey import Done
from evaluation.items import Item, read_items
from evaluation.judging import Outputs, judge_all
from evaluation.plain_text import TextScore, Window
from inference.chat_model import Answer
from synthesis.generation import Settings, generate_file
from synthesis.mixtures import PLAIN
from teaching.journal import Journal
from teaching.page import write_page
from teaching.request import Flags, Request, scores_file
from teaching.run import Run
from teaching.tools import complete_file, possible_shares, read_teachable

EXAMPLE = ROOT / "examples/teach_tools.json"


def reply(item: Item, knows_calls: bool) -> Answer:
    """Return what is wanted, or text where the model knows no calls."""
    expected = item.expected
    if isinstance(expected, str) or not knows_calls:
        return Answer("Good <day>", Reply("Good <day>"), True)
    calls = tuple(ToolCall(call["name"], call["arguments"]) for call in expected)
    return Answer("", Reply("", calls), True)


def write_scores(output: Path, part: str, model: str, knows_calls: bool) -> None:
    items = read_items(str(output / f"{part}.jsonl"))

    def answers() -> Iterator[tuple[int, Answer]]:
        yield from ((place, reply(item, knows_calls)) for place, item in enumerate(items))

    loss = 100.0 if model == "base" else 110.0
    text = TextScore("plain.txt", "0" * 64, "<s>", [Window(400, 100, loss)])
    judge_all(items, answers(), {}, Outputs(output / scores_file(model, part)), text)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Request:
    """Return a finished run: its files without its weights."""
    output = tmp_path_factory.mktemp("run")
    teachable = read_teachable(str(complete_file(EXAMPLE, output)))
    flags = Flags("demo/base", str(output), rounds=2, general=0, text_file="plain.txt")
    for part in ("taught", "held_out", "practice", "round-1", "round-2"):
        held_out = part == "held_out"
        shares = possible_shares(teachable, PLAIN, held_out)
        quotas = {name: share / sum(shares.values()) for name, share in shares.items()}
        names = teachable.held_out if held_out else teachable.taught
        settings = Settings(
            12, 3, teachable.file, ("custom",), names, quotas=quotas, mixture="plain"
        )
        generate_file(output / f"{part}.jsonl", settings)
    for part in ("taught", "held_out"):
        for model in ("base", "tuned", "constrained"):
            write_scores(output, part, model, model != "base" and part == "taught")
    write_scores(output, "practice", "round-1", False)
    write_scores(output, "practice", "round-2", True)
    return Request(flags, teachable, ROOT)


def page_of(request: Request) -> str:
    file = request.directory / "index.html"
    write_page(file, request, [Done("fine-tune", "python finetune.py", 3.0, "<b>")])
    return file.read_text(encoding="utf-8")


def test_the_page_tells_before_and_after_on_taught_and_held_out_tools(scored: Request):
    page = read_page(page_of(scored))
    assert "on your tools with new values: calls 0.0% to 100.0%" in page.text
    assert "on held-out tools: calls 0.0% to 0.0%" in page.text
    assert "asked where it could call" in page.text
    assert f"Held out: {scored.teachable.held_out[0]}." in page.text
    assert "(plain.txt): perplexity 2.72 before, 3.00 after, +10.5%." in page.text
    assert "scores/base-held_out.html, scores/tuned-held_out.html" in page.text


def prompts(request: Request) -> list[Item]:
    return read_items(str(request.directory / "practice.jsonl"))


def test_the_page_shows_the_rounds_side_by_side_by_type(scored: Request):
    page = read_page(page_of(scored))
    rounds = page.text.partition("Wrong replies by what is wrong")[2]
    calls = sum(item.category.startswith(("call", "parallel")) for item in prompts(scored))
    assert f"asked where it could call{calls}0" in rounds
    once = replace(scored, flags=replace(scored.flags, rounds=1))
    assert "The rounds" not in read_page(page_of(once)).text


def test_a_run_that_learnt_nothing_says_so_and_names_a_larger_one(scored: Request, tmp_path: Path):
    shutil.copytree(scored.directory, tmp_path / "none")
    flags = replace(scored.flags, output_dir=str(tmp_path / "none"), tools_file=str(EXAMPLE))
    request = replace(scored, flags=flags)
    for part in request.parts:
        write_scores(request.directory, part, "tuned", False)
    learnt, not_learnt = (Run(of, Journal(tmp_path / "teach.json", {})) for of in (scored, request))
    told = "Nothing was learnt: calls right 0% before and after."
    assert told in next(not_learnt.lines()) and told in page_of(request)
    assert told not in next(learnt.lines()) and told not in page_of(scored)
    (command,) = not_learnt.next_commands()
    assert "scripts/teach.py" in command and "--count 4000" in command
    assert ["chat_completion" in line for line in learnt.next_commands()] == [True, False]


def test_replies_and_outcomes_are_shown_and_never_read_as_html(scored: Request):
    text = page_of(scored)
    assert "Good &lt;day&gt;" in text and "Good <day>" not in text
    assert "&lt;b&gt;" in text


def test_what_could_not_be_held_out_is_said(scored: Request):
    teachable = replace(scored.teachable, held_out=(), unsplit=("water_bed.minutes",))
    (scored.directory / "own.jsonl").write_bytes((scored.directory / "held_out.jsonl").read_bytes())
    flags = replace(scored.flags, data="rows.json")
    known = read_page(page_of(replace(scored, flags=flags, own_scored=False))).text
    assert f"yet in your conversations: {scored.teachable.held_out[0]}." in known
    request = replace(scored, flags=flags, teachable=teachable, own_scored=False)
    page = read_page(page_of(request))
    assert "Your conversations are too few" in page.text
    assert "on your tools: calls" in page.text
    assert "No tool was held out" in page.text
    assert "No value was held out" in page.text and "water_bed.minutes have too few" in page.text
