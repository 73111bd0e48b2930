"""A user's own tools: from one Python file, or one JSON file."""

import json
import re
from pathlib import Path

import pytest

from synthesis.catalogue import select
from synthesis.custom import read_tools_file
from synthesis.facts import problems
from synthesis.generation import Settings, generate
from synthesis.mixtures import MIXTURES

ROOT = Path(__file__).parents[2]
PYTHON = '''
from typing import Annotated, Literal
from synthesis.kinds import City, number

EXAMPLES = {
    "cake": ["Sacher", "cheesecake", "Black Forest"],
    "order_number": ["C-1001", "C-1002"],
    "toppings": ["nuts", "cream", "cherries"],
}
WRONG = {"cake": ["gravel pie"]}


def order_cake(
    cake: str, size: Literal["small", "large"], toppings: list[str] = (), city: City = "Oslo"
) -> dict:
    """Orders a cake (any cake)."""
    if cake not in EXAMPLES["cake"]:
        raise ValueError(f"we do not bake {cake}")
    return {"order_number": f"C-{1000 + len(cake)}", "price": 20}


def collect_cake(order_number: str, hours: Annotated[int, number("time", 1, 8, "hour")]) -> dict:
    """Return when an order can be collected."""
    return {"ready_at": f"{8 + hours}:00"}


def opening_hours() -> str:
    return "8 to 18"


def _helper() -> None: ...
'''
RECORDS = {
    "tools": [
        {
            "name": "translate_text",
            "description": "Translate text to a language.",
            "parameters": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "language": {"type": "string", "enum": ["french", "german"]},
                    "formal": {"type": "boolean", "default": False},
                },
                "required": ["text", "language"],
            },
            "examples": {"text": ["Good morning", "Where is the station"]},
            "results": [{"translation": "Bonjour"}, {"translation": "Hallo"}],
        },
        {
            "type": "function",
            "function": {
                "name": "get_lamp",
                "description": "Gets a lamp's state.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "lamp_id": {"type": "string", "examples": ["L-101", "L-202"]},
                        "level": {"type": "integer", "minimum": 1, "maximum": 10},
                    },
                    "required": ["lamp_id", "level"],
                },
            },
            "results": [{"state": "on", "owner_id": "O-1"}],
        },
        {
            "name": "find_owner",
            "parameters": {"owner_id": {"type": "string", "required": True}},
            "examples": {"owner_id": ["O-1", "O-2"]},
            "results": [{"name": "Ada"}],
        },
    ]
}


@pytest.fixture(params=["py", "json"])
def tools_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f"my_tools.{request.param}"
    file.write_text(PYTHON if request.param == "py" else json.dumps(RECORDS), encoding="utf-8")
    return file


@pytest.mark.parametrize("mixture", MIXTURES)
def test_own_tools_show_every_behaviour(tools_file: Path, mixture: str) -> None:
    own = {"tools_file": str(tools_file), "domains": ("custom",)}
    # No tool here has an optional argument.
    unfit = {"preset": 0} if mixture == "broad" else {}
    settings = Settings(count=240, mixture=mixture, quotas=unfit, **own)  # type: ignore[arg-type]
    all_made = list(generate(settings, workers=1))
    wanted = set(MIXTURES[mixture].shares) - set(unfit)
    assert {made.task.behaviour for made in all_made} == wanted
    offered = {tool.name for made in all_made for tool in made.conversation.tools}
    called = {c.name for made in all_made for m in made.conversation.messages for c in m.tool_calls}
    assert len(called) == 3 and called <= offered
    assert mixture == "broad" or called == offered
    assert [line for made in all_made for line in problems(made.conversation)] == []


def test_own_tools_join_the_built_in_ones(tools_file: Path) -> None:
    settings = Settings(count=300, tools_file=str(tools_file), mixture="plain")
    offered = {t.name for made in generate(settings, workers=1) for t in made.conversation.tools}
    assert len(offered) == 85


def test_requests_are_built_from_descriptions_names_and_examples(tmp_path: Path) -> None:
    file = tmp_path / "my_tools.py"
    file.write_text(PYTHON)
    cake, collect, hours = read_tools_file(file)[0].tools
    assert cake.do[0].startswith("order [the cake {cake}][!cake a cake]")
    assert collect.do[0].startswith(
        "tell me when [order {order_number}][!order_number an order] can be collected[ for {hours}]"
    )
    assert hours.do == ("tell me the opening hours",)
    assert [chain.uses for chain in read_tools_file(file)[0].chains] == [
        {"order_number": "order_number"}
    ]
    assert cake.slips == ("cake",)


def test_a_value_is_told_whatever_its_parameter_is_called(tmp_path: Path) -> None:
    names = ("filter[name]", "$top", "a.b", "first-name", "?q", "has(x)")
    properties = {name: {"type": "boolean" if "(" in name else "string"} for name in names}
    record = {
        "name": "list_items",
        "description": "List the items of a shop",
        "parameters": {"type": "object", "properties": properties, "required": list(names)},
        "examples": {name: ["ann", "bob"] for name in names if "(" not in name},
        "results": [{"x y": 3, "a|b": "open"}],
    }
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([record]))
    settings = Settings(12, tools_file=str(file), domains=("custom",))
    for made in generate(settings, workers=1):
        said = " ".join(m.content for m in made.conversation.messages if m.role == "user")
        calls = [call for m in made.conversation.messages for call in m.tool_calls]
        told = [v for call in calls for v in call.arguments.values() if isinstance(v, str)]
        assert all(value in said.lower() for value in told)


def test_a_json_tool_gives_equal_results_for_equal_arguments(tmp_path: Path) -> None:
    file = tmp_path / "my_tools.json"
    file.write_text(json.dumps(RECORDS))
    translate, lamp, _ = read_tools_file(file)[0].tools
    arguments = {"text": "Good morning", "language": "french"}
    assert translate.run(arguments) == translate.run(dict(reversed(arguments.items())))
    assert lamp.run({"lamp_id": "L-999", "level": 3}) == {"error": "unknown lamp id 'L-999'"}
    assert "maximum" in lamp.run({"lamp_id": "L-101", "level": 30})["error"]


def test_optional_parameters_without_examples_are_declared_and_never_given(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    schema = {"type": "object", "properties": {"note": {"type": "string"}}}
    file.write_text(json.dumps([{"name": "ring", "parameters": schema, "results": ["ok"]}]))
    (ring,) = read_tools_file(file)[0].tools
    assert list(ring.tool.parameters["properties"]) == ["note"] and ring.parameters == ()
    assert ring.run({}) == "ok"


def test_nested_objects_and_arrays_are_drawn_from_their_examples(tmp_path: Path) -> None:
    places = {
        "type": "array",
        "items": {"type": "object", "properties": {"x": {"type": "integer"}}},
    }
    schema = {"type": "object", "properties": {"places": places}, "required": ["places"]}
    record = {"name": "visit_places", "parameters": schema, "results": [{"steps": 3}]}
    record["examples"] = {"places": [{"x": 1}, {"x": 2}, {"x": 3}]}
    file = tmp_path / "t.json"
    file.write_text(json.dumps([record]))
    settings = Settings(
        count=20,
        tools_file=str(file),
        domains=("custom",),
        quotas={"single_call": 1},
        mixture="plain",
    )
    for made in generate(settings, workers=1):
        (call,) = made.conversation.messages[1].tool_calls
        assert all(place in record["examples"]["places"] for place in call.arguments["places"])


@pytest.mark.parametrize("language", ["python", "json"])
def test_the_examples_of_the_guide_work(language: str, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "synthetic-data.md").read_text(encoding="utf-8")
    block = re.search(rf"```{language}\n(.*?)```", guide, re.DOTALL)
    assert block
    file = tmp_path / f"my_tools.{language.replace('python', 'py')}"
    file.write_text(block[1], encoding="utf-8")
    quotas = {} if language == "python" else {"call_sequence": 0, "invalid_value": 0}
    settings = Settings(
        count=60, tools_file=str(file), domains=("custom",), quotas={**quotas}, mixture="plain"
    )
    assert len(list(generate(settings, workers=1))) == 60


def test_the_guide_states_the_shares_of_both_mixtures() -> None:
    guide = (ROOT / "docs" / "synthetic-data.md").read_text(encoding="utf-8")
    before, _, after = guide.partition("## Mixtures")
    for text, mixture in ((before, "plain"), (after, "broad")):
        told = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", text, re.MULTILINE))
        assert {name: float(share) for name, share in told.items()} == MIXTURES[mixture].shares
    tools = select().tools
    assert f"{len(tools)} tools in {len({tool.domain for tool in tools})} domains" in guide


def test_declared_phrases_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from synthesis.declaration import declare\n"
        "def ring(times: int) -> dict:\n    return {'rung': times}\n"
        "EXAMPLES = {}\n"
        "from synthesis.kinds import number\n"
        "TOOLS = [declare(ring, do=('ring[ {times}]',), answer=('It rang {times}.',),\n"
        "                 kinds={'times': number('times', 1, 9, 'time')})]\n"
    )
    (ring,) = read_tools_file(file)[0].tools
    assert ring.do == ("ring[ {times}]",) and ring.domain == "custom"


TWO_DOMAINS = """
from synthesis.brief import number, tool
from synthesis.declaration import Domain
DOMAINS = [
    Domain("bells", (tool("ring", "Ring.", "ring", number("times", 1, 9, "{} times")),)),
    Domain("drums", (tool("drum", "Drum.", "drum", number("times", 1, 9, "{} times")),)),
]
"""


def test_domain_custom_selects_all_domains_of_a_python_file(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(TWO_DOMAINS)
    for chosen, names in ((("custom",), {"ring", "drum"}), (("drums",), {"drum"})):
        quotas = {"single_call": 0.5, "no_suitable_tool": 0.5}
        settings = Settings(
            count=40, tools_file=str(file), domains=chosen, quotas=quotas, mixture="plain"
        )
        all_made = list(generate(settings, workers=1))
        assert {t.name for made in all_made for t in made.conversation.tools} == names


def test_a_domain_named_like_a_built_in_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(TWO_DOMAINS.replace("drums", "weather"))
    with pytest.raises(ValueError, match="two domains are called weather; rename yours"):
        next(iter(generate(Settings(tools_file=str(file), mixture="plain"), 1)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "", "ends in '.txt', wanted .py or .json"),
        ("t.py", "def f(a: str): return a", "parameter a of f has no example values; give them"),
        ("t.py", "def f(a): return a", "parameter a of f has no annotation"),
        ("t.py", "1 / 0", "it cannot be executed: ZeroDivisionError: division by zero"),
        ("t.py", "def f(", "it cannot be executed: SyntaxError"),
        ("t.py", "import sys; sys.exit(3)", "it cannot be executed: SystemExit: 3"),
        ("t.py", "X = 1", "holds no tool"),
        ("t.json", "{", "t.json: .*line 1"),
        ("t.json", '{"a": 1}', 'wanted a list of tools, or an object with "tools"'),
        ("t.json", '[{"name": "f"}]', "the tool f has no example results"),
        (
            "t.json",
            '[{"name": "f", "parameters": {"a": {"type": "string"}}, "results": [1]}]',
            'parameter a of f has no example values; add "examples"',
        ),
    ],
)
def test_an_unusable_tools_file_is_refused_in_one_line(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_tools_file(tmp_path / name)


def test_a_missing_file_or_duplicate_tool_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.py does not exist; name a \.py or \.json"):
        read_tools_file(tmp_path / "none.py")
    file = tmp_path / "t.py"
    file.write_text("def view_cart(): return 1")
    with pytest.raises(ValueError, match="two tools are called view_cart; rename one"):
        next(iter(generate(Settings(tools_file=str(file), mixture="plain"), 1)))
