"""The command that scores: recorded outputs, endpoints, models; results kept, errors in a line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import next_commands, problem_of
from commands import Outcome, run_command
from native_directories import write_adapter, write_native
from openai_server import completion, serving
from page_parser import read_page
from speaking_model import write_speaking_model
from tiny_models import TINY

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.conversations import write_conversations
from inference import loading
from inference.chat_model import ChatModel
from model.config import ModelConfig
from model.lora.config import LoraConfig
from scripts.evaluate import main
from weights.tokenizer_file import token_count

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
QUESTIONS = [
    Conversation((Message("user", "Rain in Lyon?"),), (WEATHER,), id="rain"),
    Conversation((Message("user", "Rain in Oslo?"),), (WEATHER,), id="oslo"),
    Conversation((Message("user", "Break"),), (WEATHER,), id="broken"),
    Conversation((Message("user", "Hello"),), (WEATHER,), id="hello"),
]
LEARNED = [
    Message("assistant", "", (ToolCall("weather", {"city": "Lyon"}),)),
    Message("assistant", "", (ToolCall("weather", {"city": "Nice"}),)),
    Message("assistant", '{"tool_uses": [{"recipient_name": 7}]}'),
    Message("assistant", "Hello there"),
]
WANTED = [
    LEARNED[0],
    Message("assistant", "", (ToolCall("weather", {"city": "Oslo"}),)),
    LEARNED[0],
    Message("assistant", "Good day"),
]
Evaluate = Callable[..., Outcome]


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    def command(**flags: object) -> Outcome:
        given = {"--" + name.replace("_", "-"): value for name, value in flags.items()}
        arguments = [part for flag, value in given.items() for part in (flag, value)]
        return run_command(main, arguments, monkeypatch, capsys)

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows four answers, and the file of what would have been right."""
    folder = tmp_path_factory.mktemp("evaluate")
    spoken = zip(QUESTIONS, LEARNED, strict=True)
    write_speaking_model(
        folder / "model", [replace(q, messages=(*q.messages, a)) for q, a in spoken]
    )
    right = zip(QUESTIONS, WANTED, strict=True)
    write_conversations(
        folder / "held_out.jsonl", [replace(q, messages=(*q.messages, a)) for q, a in right]
    )
    return folder


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verdicts(path: Path) -> dict[str, bool]:
    return {load["id"]: load["verdict"] for load in json.loads(path.read_text())["verdicts"]}


RIGHT = {"rain/1": True, "oslo/1": False, "broken/1": False, "hello/1": True}


@pytest.mark.parametrize("batch_size", [1, 16])
def test_a_model_is_scored_on_held_out_turns(
    evaluate: Evaluate, folder: Path, tmp_path: Path, batch_size: int
) -> None:
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=folder / "held_out.jsonl",
        output_file=tmp_path / "out.json",
        failures_file=tmp_path / "failures.txt",
        batch_size=batch_size,
        max_new_tokens=60,
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert verdicts(tmp_path / "out.json") == RIGHT
    summary = json.loads((tmp_path / "out.json").read_text())["summary"]
    assert (summary["items"], summary["answered"], summary["cut_off"]) == (4, 4, 0)
    assert summary["figures"]["correct"]["hits"] == 2
    assert summary["figures"]["valid_json"] | {"low": 0, "high": 0} == {
        "value": 2 / 3,
        "low": 0,
        "high": 0,
        "hits": 2,
        "count": 3,
    }
    assert outcome.out.startswith("balanced 50.0% (")
    assert "), 1 of 3 and 1 of 1; correct 50.0% (" in outcome.out
    assert "2 of 4" in outcome.out and "95% interval" in outcome.out
    assert [problem_of(line) for line in next_commands(outcome.out)] == [""]
    failures = (tmp_path / "failures.txt").read_text()
    assert failures.startswith("2 of 4 answers are wrong\n")
    assert 'wanted:\n  {"name": "weather", "arguments": {"city": "Oslo"}}' in failures
    assert 'found:\n  calls weather {"city": "Nice"}' in failures
    assert "because: not read as a call" in failures


def test_an_adapter_is_scored_on_top_of_its_base(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    config = ModelConfig.read(folder / "model")
    write_adapter(tmp_path / "nothing", config, LoraConfig(rank=2), size=0.0)
    outcome = evaluate(
        ckpt_dir=folder / "model",
        lora_ckpt_path=tmp_path / "nothing",
        dataset_file=folder / "held_out.jsonl",
        output_file=tmp_path / "out.json",
        max_new_tokens=60,
    )
    assert outcome.code == 0
    assert verdicts(tmp_path / "out.json") == RIGHT
    assert "convert_lora_weights.py --base-ckpt-path" in outcome.out


def test_constrained_calls_are_valid_by_the_schemas(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    """The model learned an invalid call, which the constraint excludes."""
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=folder / "held_out.jsonl",
        output_file=tmp_path / "out.json",
        max_new_tokens=100,
        constrain=True,
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert "constrained decoding took" in outcome.out
    figures = json.loads((tmp_path / "out.json").read_text())["summary"]["figures"]
    assert figures["valid_json"]["value"] == figures["valid_schema"]["value"] == 1.0


def test_an_unenforceable_schema_leaves_out_only_its_item(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    city = rows[0]["tools"][0]["function"]["parameters"]["properties"]["city"]
    city["not"] = {"const": "Paris"}
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=write(tmp_path / "some_refused.jsonl", *rows),
        output_file=tmp_path / "out.json",
        failures_file=tmp_path / "failures.txt",
        report_file=tmp_path / "page.html",
        max_new_tokens=100,
        constrain=True,
    )
    assert (outcome.code, outcome.error) == (0, "")
    told = "rain/1: tool weather cannot be constrained: /properties/city/not is not enforced"
    assert "Not asked, and counted in no figure (1):" in outcome.out and told in outcome.out
    record = json.loads((tmp_path / "out.json").read_text())
    counts = {name: record["summary"][name] for name in ("items", "answered", "refused")}
    assert counts == {"items": 4, "answered": 3, "refused": 1}
    assert set(verdicts(tmp_path / "out.json")) == {"oslo/1", "broken/1", "hello/1"}
    (refused,) = record["refused"]
    assert (refused["id"], refused["category"]) == ("rain/1", "call")
    assert told in (tmp_path / "failures.txt").read_text()
    assert told in read_page((tmp_path / "page.html").read_text(encoding="utf-8")).text


def test_a_too_deep_schema_leaves_out_only_its_item(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    inner = rows[0]["tools"][0]["function"]["parameters"]
    for _ in range(300):
        inner["properties"]["deep"] = {"type": "object", "properties": {}}
        inner = inner["properties"]["deep"]
    deep = write(tmp_path / "deep.jsonl", *rows)
    flags = {"ckpt_dir": folder / "model", "dataset_file": deep, "max_new_tokens": 100}
    for constrain in (True, False):
        outcome = evaluate(output_file=tmp_path / "out.json", constrain=constrain, **flags)
        assert (outcome.code, outcome.error) == (0, "")
        assert set(verdicts(tmp_path / "out.json")) == {"oslo/1", "broken/1", "hello/1"}


def test_only_unenforceable_schemas_are_a_one_line_error(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    row = json.loads((folder / "held_out.jsonl").read_text().splitlines()[0])
    row["tools"][0]["function"]["parameters"]["propertyNames"] = {"maxLength": 3}
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=write(tmp_path / "refused.jsonl", row),
        output_file=tmp_path / "out.json",
        constrain=True,
    )
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "none of 1 items can be asked; the first: tool weather" in outcome.error
    assert not (tmp_path / "out.json").exists()


def test_the_page_shows_figures_and_failures_escaped(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    hostile = "</pre><script>alert(1)</script>"
    recorded = write(
        tmp_path / "p.jsonl",
        {"id": "rain/1", "calls": [{"name": "weather", "arguments": {"city": hostile}}]},
        {"id": "oslo/1", "calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
        {"id": "broken/1", "text": '{"tool_uses": [' + hostile},
        {"id": "hello/1", "text": hostile},
    )
    outcome = evaluate(
        predictions=recorded,
        dataset_file=folder / "held_out.jsonl",
        report_file=tmp_path / "page.html",
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert f"Page: {tmp_path / 'page.html'}" in outcome.out
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.tags.count("svg") >= 10
    for text in ("50.0%", "2 replies are wrong", "By argument type", "string", "Rain in Lyon?"):
        assert text in page.text
    assert page.text.count(hostile) >= 2
    assert "weather: city may not be" in page.text


def bfcl(shared: Path, category: str) -> dict[str, Path]:
    file = f"BFCL_v4_{category}.json"
    answers = shared / "bfcl" / "possible_answer" / file
    found = {"benchmark": "bfcl", "benchmark_file": shared / "bfcl" / file}
    return found | ({"answers_file": answers} if answers.exists() else {})  # type: ignore[return-value]


def test_recorded_outputs_are_scored_without_a_model(
    evaluate: Evaluate, shared: Path, tmp_path: Path
) -> None:
    right = {"name": "calculate_triangle_area", "arguments": {"base": 10, "height": 5}}
    wrong = {"math.factorial": {"number": "5"}}
    recorded = write(
        tmp_path / "p.jsonl",
        {"id": "simple_python_0", "calls": [right]},
        {"id": "simple_python_1", "calls": [wrong]},
        {"id": "simple_python_2", "text": "I do not know."},
        {"id": "simple_python_399", "calls": []},
    )
    outcome = evaluate(
        predictions=recorded,
        limit=3,
        output_file=tmp_path / "o.json",
        **bfcl(shared, "simple_python"),
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert verdicts(tmp_path / "o.json") == {
        "simple_python_0": True,
        "simple_python_1": False,
        "simple_python_2": False,
    }
    assert "1 of 4 predictions for ids that are not scored here" in outcome.out
    (line,) = next_commands(outcome.out)
    assert problem_of(line) == ""
    assert line.endswith("--failures-file failures.txt")


def test_flags_of_evaluate_checkpoints_are_accepted(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    outcome = evaluate(
        checkpoint_dir=folder / "model",
        data_path=folder / "held_out.jsonl",
        num_examples=3,
        max_new_tokens=60,
        output_file=tmp_path / "out.json",
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert verdicts(tmp_path / "out.json") == {k: v for k, v in RIGHT.items() if k != "hello/1"}


def test_benchmark_questions_may_be_given_as_data_path(evaluate: Evaluate, tmp_path: Path) -> None:
    """Two rows of live_irrelevance: one offers no function at all."""
    declared = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}
    rows = [
        {
            "id": f"live_irrelevance_{i}-0-0",
            "question": [[{"role": "user", "content": "Hi"}]],
            "function": functions,
        }
        for i, functions in enumerate(([], [declared]))
    ]
    outcome = evaluate(
        predictions=write(tmp_path / "p", *({"id": row["id"], "text": "No."} for row in rows)),
        benchmark="bfcl",
        data_path=write(tmp_path / "q.json", *rows),
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert "2 of 2" in outcome.out
    assert [problem_of(line) for line in next_commands(outcome.out)] == [""]


@pytest.mark.parametrize("constrain", [False, True])
def test_a_question_without_tools_is_answered_by_a_model(
    evaluate: Evaluate, folder: Path, tmp_path: Path, constrain: bool
) -> None:
    row = {
        "id": "live_irrelevance_0-0-0",
        "question": [[{"role": "user", "content": "Rain in Lyon?"}]],
        "function": [],
    }
    outcome = evaluate(
        ckpt_dir=folder / "model",
        benchmark="bfcl",
        benchmark_file=write(tmp_path / "q.json", row),
        output_file=tmp_path / "out.json",
        max_new_tokens=60,
        constrain=constrain,
    )
    assert (outcome.code, outcome.error) == (0, "")
    (verdict,) = json.loads((tmp_path / "out.json").read_text())["verdicts"]
    assert verdict["should_call"] is False
    if constrain:
        assert verdict["called"] is False


def test_a_folder_of_bfcl_gives_the_leaderboards_figures(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}
    asked = {"question": [[{"role": "user", "content": "Do it"}]], "function": [function]}
    ids = [f"live_relevance_{number}" for number in range(16)]
    folder = tmp_path / "bfcl"
    folder.mkdir()
    write(folder / "BFCL_v4_live_relevance.json", *({"id": i, **asked} for i in ids))
    bare = {"id": "live_irrelevance_0", **asked, "function": []}
    write(folder / "BFCL_v4_live_irrelevance.json", bare)
    write(folder / "BFCL_v4_web_search.json", {"id": "web_search_0"})
    rows = [{"id": i, "calls": [{"f": {}}]} for i in ids[:12]]
    rows += [{"id": i, "text": "No."} for i in (*ids[12:], "live_irrelevance_0")]
    outcome = evaluate(
        predictions=write(tmp_path / "p.jsonl", *rows),
        benchmark="bfcl",
        benchmark_dir=folder,
        output_file=tmp_path / "o.json",
        report_file=tmp_path / "page.html",
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert "web_search is left out: it needs the web" in outcome.out
    assert "By the leaderboard of BFCL v4" in outcome.out
    found = json.loads((tmp_path / "o.json").read_text())["summary"]["leaderboard"]
    assert found["relevance"] == {"share": 0.75, "missing": []}
    lacks = ["irrelevance", "live_irrelevance (1 of 884)"]
    assert found["irrelevance"] == {"share": None, "missing": lacks}
    assert found["overall"]["share"] is None
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "live_irrelevance (1 of 884)" in page.text and "75.0%" in page.text


def test_irrelevance_needs_no_answers(evaluate: Evaluate, shared: Path, tmp_path: Path) -> None:
    rows = [{"id": f"irrelevance_{i}", "text": "No tool does that."} for i in range(240)]
    outcome = evaluate(predictions=write(tmp_path / "p", *rows), **bfcl(shared, "irrelevance"))
    assert outcome.code == 0
    assert "240 of 240" in outcome.out


def test_nexusraven_is_scored_from_the_users_copy(evaluate: Evaluate, tmp_path: Path) -> None:
    argument = {"name": "cve", "type": "str", "required": True, "default": "None"}
    function = {"dataset": "cve", "name": "search", "description": "", "args_dicts": [argument]}
    query = {
        "dataset": "cve",
        "prompt": "What is CVE-1?",
        "python_function_name": "search",
        "python_args_dict": '{"cve": "CVE-1"}',
        "context_functions": ["search"],
    }
    outcome = evaluate(
        predictions=write(tmp_path / "p", {"id": "cve_0", "calls": [{"search": {"cve": "CVE-1"}}]}),
        benchmark="nexusraven",
        benchmark_file=write(tmp_path / "q", query),
        tools_file=write(tmp_path / "f", function),
    )
    assert outcome.code == 0
    assert "100.0%" in outcome.out


def test_missing_predictions_are_an_error_and_the_others_are_kept(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    outcome = evaluate(
        predictions=write(tmp_path / "p", {"id": "hello/1", "text": "Hi"}),
        dataset_file=folder / "held_out.jsonl",
        output_file=out,
    )
    assert outcome.code == 1
    assert "has no prediction for 3 of 4 ids, the first is rain/1" in outcome.error
    assert f"1 of 4 answers are in {out}" in outcome.error
    assert verdicts(out) == {"hello/1": True}


def test_predictions_for_other_items_are_an_error(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    rows = [{"id": name, "text": "Hi"} for name in ("rain/1", "oslo/1", "broken/1", "hello/1")]
    outcome = evaluate(
        predictions=write(tmp_path / "p", {"id": "hello", "text": "Hi"}, *rows),
        dataset_file=folder / "held_out.jsonl",
        output_file=tmp_path / "o.json",
    )
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "1 of 5 predictions for ids that no item has, the first is hello" in outcome.error
    assert not (tmp_path / "o.json").exists()


def test_the_failures_file_holds_no_terminal_control_characters(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    call = {"name": "w\x1b[31m", "arguments": {}}
    recorded = write(tmp_path / "recorded.jsonl", {"id": "rain/1", "calls": [call]})
    failures = tmp_path / "failures.txt"
    data = {"dataset_file": folder / "held_out.jsonl", "limit": 1}
    evaluate(predictions=recorded, failures_file=failures, **data)
    assert "calls w\ufffd[31m {}" in failures.read_text(encoding="utf-8")


def test_the_next_command_scores_the_same_items(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    recorded = write(tmp_path / "recorded.jsonl", {"id": "rain/1", "text": "No idea"})
    outcome = evaluate(
        predictions=recorded, dataset_file=folder / "held_out.jsonl", limit=1, categories="call"
    )
    assert outcome.code == 0
    (told,) = next_commands(outcome.out)
    assert "--limit 1 --categories call" in told
    assert problem_of(told) == ""


def test_an_endpoint_is_scored(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    with serving(lambda _: completion(None, ("weather", '{"city": "Lyon"}'))) as server:
        outcome = evaluate(
            endpoint=server.url,
            model="m",
            dataset_file=folder / "held_out.jsonl",
            output_file=tmp_path / "o.json",
        )
    assert outcome.code == 0
    assert verdicts(tmp_path / "o.json") == {**RIGHT, "broken/1": True, "hello/1": False}


def test_an_endpoint_that_never_answers_leaves_no_file(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    with serving(lambda _: (500, "down", "text/plain")) as server:
        outcome = evaluate(
            endpoint=server.url,
            model="m",
            dataset_file=folder / "held_out.jsonl",
            output_file=tmp_path / "o.json",
        )
    assert (outcome.code, outcome.error) == (1, f"error: {server.url}/v1 answered 500: down\n")
    assert not (tmp_path / "o.json").exists()


def test_what_an_endpoint_answered_before_it_broke_is_kept(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    def react(request: dict[str, object]) -> tuple[int, str, str]:
        broken = "Break" in json.dumps(request)
        return (200, "?", "text/html") if broken else completion(None, ("weather", "{}"))

    out = tmp_path / "out.json"
    with serving(react) as server:
        outcome = evaluate(
            endpoint=server.url,
            model="m",
            batch_size=1,
            dataset_file=folder / "held_out.jsonl",
            output_file=out,
        )
    assert outcome.code == 1
    assert outcome.error.count("\n") == 1
    assert "answered what is no chat completion: '?'" in outcome.error
    assert f"of 4 answers are in {out}" in outcome.error
    assert {"rain/1", "oslo/1"} <= set(verdicts(out)) <= {"rain/1", "oslo/1", "hello/1"}
    summary = json.loads(out.read_text())["summary"]
    assert (summary["items"], summary["answered"]) == (4, len(verdicts(out)))


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"dataset_file": "d"}, "name one of --ckpt-dir, --endpoint and --predictions"),
        ({"ckpt_dir": "m", "predictions": "p", "dataset_file": "d"}, "name one of --ckpt-dir"),
        ({"endpoint": "http://x", "dataset_file": "d"}, "--endpoint wants --model"),
        ({"predictions": "p", "dataset_file": "d", "constrain": True}, "--constrain wants"),
        ({"predictions": "p"}, "name one of --dataset-file and --benchmark"),
        (
            {"predictions": "p", "dataset_file": "d", "benchmark": "bfcl", "benchmark_file": "q"},
            "name one of --dataset-file and --benchmark",
        ),
        ({"predictions": "p", "dataset_file": "d", "data_path": "e"}, "are one flag in two"),
        ({"ckpt_dir": "m", "checkpoint_dir": "n", "dataset_file": "d"}, "are one flag in two"),
        (
            {"predictions": "p", "dataset_file": "d", "lora_ckpt_path": "l"},
            "--lora-ckpt-path goes with --ckpt-dir, which is not given",
        ),
        ({"predictions": "p", "dataset_file": "d", "tokenizer_path": "t"}, "--tokenizer-path goes"),
        ({"ckpt_dir": "m", "dataset_file": "d", "model": "n"}, "--model goes with --endpoint"),
        ({"ckpt_dir": "m", "dataset_file": "d", "answers_file": "a"}, "goes with --benchmark"),
        ({"ckpt_dir": "m", "benchmark": "bfcl", "held_out_of": "h"}, "goes with --dataset-file"),
        (
            {"ckpt_dir": "m", "dataset_file": "d", "benchmark_dir": "b"},
            "is a folder of --benchmark",
        ),
        (
            {"ckpt_dir": "m", "benchmark": "bfcl", "benchmark_dir": "b", "answers_file": "a"},
            "--benchmark-dir has its files of questions and answers: name it alone",
        ),
        ({"predictions": "p", "dataset_file": "d", "categories": "cal"}, "there is no 'cal'"),
        ({"predictions": "p", "dataset_file": "d", "limit": 0}, "--limit is 0"),
    ],
)
def test_contradicting_flags_are_wrong_usage(
    evaluate: Evaluate, flags: dict[str, object], problem: str
) -> None:
    outcome = evaluate(**flags)
    assert outcome.code == 2
    assert problem in outcome.error


def test_bad_input_is_one_line_and_leaves_nothing(
    evaluate: Evaluate, folder: Path, shared: Path, tmp_path: Path
) -> None:
    data = {"dataset_file": folder / "held_out.jsonl"}
    model = {"ckpt_dir": folder / "model"}
    empty, other = write(tmp_path / "empty"), write(tmp_path / "other", {"chat": "USER: hi"})
    unknown = write(tmp_path / "unknown", {"id": "web_search_0", "question": [[]], "function": []})
    unplayed = tmp_path / "bfcl"
    unplayed.mkdir()
    write(unplayed / "BFCL_v4_memory.json", {"id": "memory_0"})
    cases: list[tuple[dict[str, object], str]] = [
        ({**model, "dataset_file": empty}, "is empty"),
        (
            {**model, "dataset_file": other},
            "other, line 1: no known layout: found an object with the keys",
        ),
        ({**model, "dataset_file": "nowhere"}, "nowhere does not exist"),
        ({"ckpt_dir": "nowhere", **data}, "nowhere does not exist"),
        ({**model, **data, "max_seq_len": 20}, "rain/1 is a prompt of"),
        ({**model, **data, "chat_format": "lama3"}, "did you mean llama3?"),
        ({"predictions": empty, **data}, "is empty"),
        ({"predictions": other, **data}, "is no prediction"),
        (
            {"predictions": empty, "benchmark": "bfcl", "benchmark_file": unknown},
            "category 'web_search', which is not scored",
        ),
        ({**model, "text_file": empty, "text_window": 0}, "--text-window is 0, wanted 64"),
        (
            {"predictions": empty, "benchmark": "bfcl", "benchmark_dir": unplayed},
            "has no category that can be scored here",
        ),
        ({"endpoint": "localhost", "model": "m", **data}, "wanted such as http://"),
        ({**model, **data, "report_file": "/dev/null/p.html"}, "/dev/null/p.html cannot be"),
        ({**model, **data, "failures_file": tmp_path}, "is a directory, wanted a file to write"),
    ]
    for flags, problem in cases:
        outcome = evaluate(**flags, output_file=tmp_path / "out.json")
        assert (outcome.code, outcome.error.count("\n")) == (1, 1), flags
        assert problem in outcome.error
        assert not (tmp_path / "out.json").exists()


def test_a_tokenizer_without_the_formats_tokens_is_refused_before_loading(
    evaluate: Evaluate, folder: Path, shared: Path, tmp_path: Path
) -> None:
    pieces = shared / "tokenizers" / "mistral_sentencepiece" / "tokenizer.model.v1"
    model = write_native(tmp_path / "model", TINY)
    params = json.loads((model / "params.json").read_text())
    params["vocab_size"] = token_count(pieces)
    (model / "params.json").write_text(json.dumps(params))
    outcome = evaluate(
        ckpt_dir=model, tokenizer_path=pieces, dataset_file=folder / "held_out.jsonl"
    )
    assert outcome.code == 1
    assert outcome.error.count("\n") == 1
    assert "has no special token <|begin_of_text|>, which the chat format llama3" in outcome.error


def test_a_plain_text_is_scored_alone_and_beside_items(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("The weather of a town, line by line.\n" * 20)
    shared = {
        "ckpt_dir": folder / "model",
        "text_file": tmp_path / "text.txt",
        "text_window": 200,
        "output_file": tmp_path / "out.json",
        "report_file": tmp_path / "page.html",
    }
    scores = []
    for items in ({}, {"dataset_file": folder / "held_out.jsonl", "max_new_tokens": 60}):
        outcome = evaluate(**shared, **items)
        assert (outcome.code, outcome.error) == (0, "")
        assert "bits per byte" in outcome.out and "740 bytes, 4 windows" in outcome.out
        assert ("correct" in outcome.out) == bool(items)
        scores.append(json.loads((tmp_path / "out.json").read_text())["plain_text"])
        page = read_page((tmp_path / "page.html").read_text(encoding="utf-8")).text
        assert f"{scores[0]['negative_log_likelihood']:,.1f} nats" in page
    assert scores[0] == scores[1]
    assert verdicts(tmp_path / "out.json") == RIGHT
    assert scores[0]["bytes"] == 740


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"predictions": "p.jsonl", "dataset_file": "d"}, "--text-file goes with --ckpt-dir"),
        ({"ckpt_dir": "m", "limit": 3}, "--limit goes with --dataset-file"),
    ],
)
def test_flags_that_do_nothing_beside_a_text_are_refused(
    evaluate: Evaluate, flags: dict[str, object], told: str
) -> None:
    outcome = evaluate(text_file="t.txt", **flags)
    assert outcome.code == 2 and told in outcome.error


@pytest.fixture(scope="module")
def silent_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that answers every question with text."""
    said = Message("assistant", "Hello there")
    return write_speaking_model(
        tmp_path_factory.mktemp("base") / "model",
        [replace(question, messages=(*question.messages, said)) for question in QUESTIONS],
    )


def test_a_model_is_compared_with_its_base_line_by_line(
    evaluate: Evaluate, folder: Path, silent_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("The weather of a town, line by line.\n" * 20)
    shared = {
        "ckpt_dir": folder / "model",
        "dataset_file": folder / "held_out.jsonl",
        "text_file": tmp_path / "text.txt",
        "text_window": 200,
        "max_new_tokens": 60,
        "report_file": tmp_path / "page.html",
    }
    outcome = evaluate(against=silent_base, output_file=tmp_path / "out.json", **shared)
    assert (outcome.code, outcome.error) == (0, "")
    assert f"Against {silent_base}: " in outcome.out
    compared = json.loads((tmp_path / "out.json").read_text())["against"]
    lines = {line["name"]: line for line in compared["lines"]}
    assert list(lines) == ["calls", "irrelevance", "plain text, bits a byte"]
    calls = lines["calls"]
    assert (calls["of"], calls["base"], calls["model"]) == (3, 0.0, pytest.approx(1 / 3))
    assert calls["difference"]["value"] == pytest.approx(1 / 3)
    assert calls["verdict"] == "too few differ"
    assert lines["irrelevance"]["difference"]["value"] == 0.0
    assert compared["notes"] == []
    assert "not told apart" in read_page((tmp_path / "page.html").read_text("utf-8")).text
    # The base's own results are kept, and serve as well as its directory.
    kept = evaluate(against=tmp_path / "out.base.json", output_file=tmp_path / "2.json", **shared)
    assert kept.code == 0
    again = json.loads((tmp_path / "2.json").read_text())["against"]
    assert again["lines"] == compared["lines"]


def test_results_on_other_items_are_refused_before_the_model_is_asked(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    rows = (folder / "held_out.jsonl").read_text().replace("Lyon", "Rome")
    (tmp_path / "other.jsonl").write_text(rows)
    shared = {"ckpt_dir": folder / "model", "max_new_tokens": 5}
    first = evaluate(
        dataset_file=tmp_path / "other.jsonl", output_file=tmp_path / "base.json", **shared
    )
    assert first.code == 0
    outcome = evaluate(
        dataset_file=folder / "held_out.jsonl",
        against=tmp_path / "base.json",
        output_file=tmp_path / "out.json",
        **shared,
    )
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "judged other items" in outcome.error and "--against the directory" in outcome.error
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "holds no results"),
        ('{"verdicts": [3]}', "holds no results"),
        ('{"verdicts": [], "summary": {}, "plain_text": {"windows": []}}', "holds no results"),
    ],
)
def test_a_base_that_is_no_result_is_one_line(
    evaluate: Evaluate, folder: Path, tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "base.json").write_text(content)
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=folder / "held_out.jsonl",
        against=tmp_path / "base.json",
    )
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert told in outcome.error


def test_an_unfinished_run_replaces_no_earlier_results(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    def react(request: dict[str, object]) -> tuple[int, str, str]:
        broken = "Break" in json.dumps(request) and not mended
        return (200, "?", "text/html") if broken else completion(None, ("weather", "{}"))

    mended: list[int] = []
    out = write(tmp_path / "out.json", "results of an earlier run")
    with serving(react) as server:
        flags = {
            "endpoint": server.url,
            "model": "m",
            "batch_size": 1,
            "dataset_file": folder / "held_out.jsonl",
            "output_file": out,
        }
        broken = evaluate(**flags)
        assert (
            broken.code == 1
            and f"answers are in {tmp_path / 'out.unfinished.json'}" in broken.error
        )
        assert json.loads(out.read_text()) == "results of an earlier run"
        asked = len(server.requests)
        mended.append(1)
        whole = evaluate(**flags)
    assert whole.code == 0 and "of a run that was cut off" in whole.out
    assert len(verdicts(out)) == 4
    assert asked < len(server.requests) < asked + 4, "what was answered is not asked again"
    assert not (tmp_path / "out.json.answers.jsonl").exists()


def test_a_base_scored_before_an_interruption_is_not_scored_again(
    evaluate: Evaluate,
    folder: Path,
    silent_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "text.txt").write_text("The weather of a town, line by line.\n" * 20)
    interrupted, loaded = [True], list[str]()
    load = loading.load_chat_model

    def load_unless_interrupted(source: loading.Source) -> ChatModel:
        loaded.append(source.ckpt_dir)
        if interrupted and len(loaded) == 2:
            raise KeyboardInterrupt
        return load(source)

    monkeypatch.setattr(loading, "load_chat_model", load_unless_interrupted)
    flags = {
        "ckpt_dir": folder / "model",
        "dataset_file": folder / "held_out.jsonl",
        "text_file": tmp_path / "text.txt",
        "against": silent_base,
        "output_file": tmp_path / "out.json",
        "max_new_tokens": 60,
    }
    assert evaluate(**flags).code == 130
    interrupted.clear()
    loaded.clear()
    whole = evaluate(**flags)
    assert whole.code == 0 and loaded == [str(folder / "model")]
    kept = tmp_path / "out.base.json"
    assert f"{kept} has the base's results already" in whole.out
    lines = json.loads((tmp_path / "out.json").read_text())["against"]["lines"]
    assert [line["name"] for line in lines] == ["calls", "irrelevance", "plain text, bits a byte"]
    other = evaluate(**(flags | {"max_new_tokens": 50, "text_window": 300}))
    assert other.code == 0 and loaded[1:] == [str(silent_base), str(folder / "model")]
    assert f"{kept} was made with another max_new_tokens, text: the base" in other.out


def test_a_prompt_that_is_too_long_leaves_out_only_its_item(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    rows[1]["messages"][0]["content"] = "Rain? " * 2000
    outcome = evaluate(
        ckpt_dir=folder / "model",
        dataset_file=write(tmp_path / "long.jsonl", *rows),
        output_file=tmp_path / "out.json",
        max_new_tokens=60,
        max_seq_len=1000,
    )
    assert (outcome.code, outcome.error) == (0, "")
    assert "Not asked, and counted in no figure (1):" in outcome.out
    assert "oslo/1 is a prompt of" in outcome.out and "raise --max-seq-len" in outcome.out
    assert set(verdicts(tmp_path / "out.json")) == {"rain/1", "broken/1", "hello/1"}
