"""The three tools of tool_using.py's EXAMPLE_TOOLS, as functions that run.

python scripts/generate_dataset.py --tools-file examples/tool_using_tools.py --domains custom
"""

import ast
import operator
from typing import Literal

EXAMPLES = {
    "query": ["climate change", "quantum computing", "the history of Rome", "renewable energy"],
    "num_results": [1, 2, 3],
    "location": ["Tokyo", "London", "Toronto", "Mumbai", "Berlin", "Sydney"],
    "expression": ["24 * 365", "(10 + 5) * 3", "5 * 5 + 2", "15 * 200 / 100"],
}
WRONG = {"location": ["Atlantis"], "expression": ["24 *"]}

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def search_web(query: str, num_results: int = 3) -> dict:
    """Search the web for information on a topic.

    Args:
        query: The search query.
        num_results: Number of results to return.
    """
    kinds = ("article", "research paper", "blog post")
    return {"results": [f"{query}, {kind}" for kind in kinds[:num_results]]}


def get_weather(location: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> dict:
    """Get current weather for a location.

    Args:
        location: City or location name.
        units: Temperature units.
    """
    if location not in EXAMPLES["location"]:
        raise ValueError(f"there is no weather station in {location}")
    degrees = 10 + 2 * len(location)
    shown = degrees if units == "celsius" else degrees * 9 / 5 + 32
    return {"temperature": shown, "conditions": "sunny" if degrees > 20 else "cloudy"}


def calculate(expression: str) -> dict:
    """Perform a mathematical calculation.

    Args:
        expression: Mathematical expression to evaluate.
    """
    try:
        return {"result": _value(ast.parse(expression, mode="eval").body)}
    except (SyntaxError, TypeError, ZeroDivisionError):
        raise ValueError(f"{expression} is no expression of numbers and + - * /") from None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise TypeError(ast.unparse(node))
