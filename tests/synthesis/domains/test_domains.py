"""Every built-in tool: runs, fails in words, and has words for each set of arguments."""

import re
from itertools import combinations

import pytest

from chat.schemas.validation import validate_arguments
from synthesis.catalogue import Catalogue
from synthesis.declaration import SyntheticTool, fitting, is_error
from synthesis.dice import Dice
from synthesis.domains import DOMAINS
from synthesis.grammar import expand, look_up
from synthesis.scene import Scene

CATALOGUE = Catalogue(DOMAINS)
TOOLS = pytest.mark.parametrize("tool", CATALOGUE.tools, ids=lambda tool: tool.name)


def scene(name: str) -> Scene:
    return Scene(Dice("test", name), CATALOGUE)


def names(tool: SyntheticTool, required: bool) -> list[str]:
    return [parameter.name for parameter in tool.parameters if parameter.required is required]


def test_catalogue_has_at_least_40_tools_in_12_domains() -> None:
    assert len(CATALOGUE.tools) >= 40
    assert len(DOMAINS) >= 12
    assert len(CATALOGUE.chains) >= 14


def test_similarity_of_domains_is_mutual() -> None:
    for domain in DOMAINS:
        for other in domain.similar:
            assert domain.name in CATALOGUE.similar[other]
            assert other in CATALOGUE.similar[domain.name]


def test_schemas_use_all_json_types_enums_patterns_and_defaults() -> None:
    properties = [
        p for tool in CATALOGUE.tools for p in tool.tool.parameters["properties"].values()
    ]
    types = {schema["type"] for schema in properties}
    assert types == {"string", "integer", "number", "boolean", "array", "object"}
    assert any("enum" in schema for schema in properties)
    assert any("pattern" in schema for schema in properties)
    assert any("default" in schema for schema in properties)
    assert any(schema.get("items", {}).get("type") == "object" for schema in properties)
    assert any(not tool.parameters for tool in CATALOGUE.tools)


@TOOLS
def test_a_tool_answers_drawn_arguments_that_fit_its_schema(tool: SyntheticTool) -> None:
    played = scene(tool.name)
    for _ in range(20):
        use = played.use(tool)
        assert validate_arguments(tool.tool, use.arguments) == []
        assert tool.function(**use.arguments) == use.result
        for answer in (*tool.answer, *(answer for _, answer in tool.more)):
            assert expand(answer, use.known(played.dice), played.dice)


@TOOLS
def test_a_tool_fails_with_value_errors_only(tool: SyntheticTool) -> None:
    dice = Dice("errors", tool.name)
    for _ in range(40):
        arguments = {parameter.name: parameter.kind.draw(dice) for parameter in tool.parameters}
        try:
            assert not is_error(tool.function(**arguments))
        except ValueError as error:
            assert str(error)


@TOOLS
def test_a_request_exists_for_any_set_of_optional_arguments(tool: SyntheticTool) -> None:
    required, optional = names(tool, True), names(tool, False)
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            assert fitting(tool.do, frozenset([*required, *chosen])), chosen


@TOOLS
def test_phrases_name_only_declared_arguments(tool: SyntheticTool) -> None:
    known = {parameter.name for parameter in tool.parameters}
    for template in tool.do + tool.ask:
        said = set(re.findall(r"\{(\w+)\}", template)) | set(re.findall(r"\[[?!](\w+)", template))
        assert said <= known, template
        assert not template.endswith((".", "?"))


@TOOLS
def test_wrong_values_do_not_fit_the_schema(tool: SyntheticTool) -> None:
    dice = Dice("wrong", tool.name)
    for parameter in tool.parameters:
        for _ in range(10 if parameter.kind.wrong else 0):
            assert parameter.kind.wrong is not None
            wrong = parameter.kind.wrong(dice)
            if "pattern" in parameter.schema:
                assert not re.search(parameter.schema["pattern"], wrong)
            elif "enum" in parameter.schema:
                assert wrong.replace(" ", "_") not in parameter.schema["enum"]
            assert parameter.kind.rule


@pytest.mark.parametrize("chain", CATALOGUE.chains, ids=lambda c: f"{c.first}-{c.then}")
def test_a_chain_passes_a_result_on_and_has_phrases(chain) -> None:  # type: ignore[no-untyped-def]
    first, then = CATALOGUE.by_name[chain.first], CATALOGUE.by_name[chain.then]
    result = scene(chain.first).use(first).result
    for argument, path in chain.uses.items():
        assert argument in names(then, True)
        assert look_up(result, path) is not None
    required = {*names(first, True), *names(then, True)} - set(chain.uses)
    optional = sorted({*names(first, False), *names(then, False)} - set(chain.uses) - required)
    for chosen in ([], optional, *([name] for name in optional)):
        assert fitting(chain.do, frozenset([*required, *chosen])), chosen


def test_results_of_earlier_files_stay_the_same() -> None:
    """Facts that a file of an earlier day was written with."""
    run = CATALOGUE.by_name
    weather = run["get_current_weather"].run({"city": "Oslo"})
    assert weather == {
        "city": "Oslo",
        "temperature": 3,
        "unit": "celsius",
        "condition": "rainy",
        "humidity_percent": 78,
    }
    assert run["days_between"].run({"start_date": "2024-02-28", "end_date": "2024-03-01"}) == {
        "days": 2,
        "end_weekday": "Friday",
    }
