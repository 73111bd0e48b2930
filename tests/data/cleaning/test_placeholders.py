"""Placeholders: values that nobody gave, and the same signs where they mean themselves."""

import time
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.call_rules import given_values
from data.outcomes import Draft, Rejected

TOOL = Tool("open_door", "Opens a door.", {"type": "object", "properties": {"key": {}}})


def calling(arguments: dict[str, Any], user: str = "hello", tool: Tool = TOOL) -> Conversation:
    call = Message("assistant", "", (ToolCall(tool.name, arguments),))
    return Conversation((Message("user", user), call), (tool,))


PLACEHOLDERS = [
    *(
        "API_call_0",
        "$var1.user_id$",
        "$var_2",
        "${user.id}",
        "{{ city }}",
        "<authorization_token>",
    ),
    *("<your API key>", "[Your name]", "[insert date here]", "YOUR_API_KEY", "your_api_key"),
    *("<token>", "YOUR_EMAIL", "your-api-key", "Bearer YOUR_API_KEY", "#E1", "{user_id}"),
    *("xxxx-xxxx", "result_from_previous_call", "<email>", "<user-id>", "Bearer <token>", "#E12"),
    *("{order.id}", "XXXXXXXX", "sk-xxxxxxxx", "xxx-xx-xxxx", "output_of_step_1", "your_city"),
    *("id_from_previous_response", "INSERT_TOKEN_HERE", "${API_KEY}", "Token {access_token}"),
    *("api_key_here", "ENTER_YOUR_NAME"),
]


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_placeholder_is_rejected_unless_an_earlier_turn_says_it(value: str) -> None:
    for arguments in ({"key": value}, {"deep": {"a": [value]}}):
        with pytest.raises(Rejected) as raised:
            given_values(calling(arguments))
        assert raised.value.rule == "placeholder-value" and repr(value) in raised.value.reason
    said = calling({"key": value}, user=f"Use {value} as it stands.")
    assert given_values(said) == Draft(said)


@pytest.mark.parametrize(
    "value",
    [
        *("$5", "$AAPL", "<br>", "<div>", "user@example.com", "John Doe <johndoe@example.com>"),
        *("Dear Boss, Best, [User]", "{}", "{{}}", "your name", "API", "call 0", "[1, 2]"),
        *("You have got a new message", "Your order", "<a href='x'>", "API_call", "{'a': 1}"),
        *("enter_id", "insert_date", "<h1 class>", "${HOME}", "XXX", "XXL", "#Education", "{3}"),
        *("letter_from_home", "<T>", "Bearer of the ring", "sales_of_last_month", "x-ray", "Axxx"),
        *("your_file.txt", "enter_your_dragon.mp4", "# E1", "click_here", "no_key_hereby"),
    ],
)
def test_ordinary_values_are_no_placeholders(value: str) -> None:
    said = calling({"key": value})
    assert given_values(said) == Draft(said)


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("{{first_name}}", "Make a mail template that greets people by first name."),
        ("{name}", "Put a placeholder for the name into the greeting."),
        ("${LOG_DIR}", "Print the environment variable of the log folder in the shell."),
        ("<item>", "Add an empty XML element for an item."),
        ("xxxx-xxxx", "Mask the card number with x's."),
    ],
)
def test_signs_are_values_where_the_talk_is_of_them(value: str, user: str) -> None:
    said = calling({"key": value}, user)
    assert given_values(said) == Draft(said)
    with pytest.raises(Rejected, match="placeholder-value"):
        given_values(calling({"key": value}, "Open the door, please."))


def test_tool_of_templates_takes_variables_of_a_template() -> None:
    tool = Tool("save_template", "", {"type": "object", "properties": {"body": {}}})
    said = calling({"body": "{{first_name}}"}, "Greet people by name.", tool)
    assert given_values(said) == Draft(said)


def test_html_name_in_brackets_is_a_placeholder_for_itself() -> None:
    with pytest.raises(Rejected, match="placeholder-value"):
        given_values(calling({"title": "<title>"}))
    said = calling({"html": "<title>"})
    assert given_values(said) == Draft(said)


@pytest.mark.parametrize(
    "text",
    [
        *("your" + "_a" * 90, "<" + "a_" * 90, "{" + "a." * 90, "x" * 150 + "!", "xx-" * 60),
        *("insert" + "_here" * 30 + "!", "[your " + "[" * 150, "result_from_" * 15, "bearer " * 25),
        *("your" + "_a" * 500_000, "{{" + "a" * 1_000_000, "x-" * 500_000),
    ],
)
def test_placeholder_search_takes_no_time_on_hostile_texts(text: str) -> None:
    began = time.process_time()
    for end in ("", "!", " "):
        try:
            given_values(calling({"key": text + end}))
        except Rejected as rejected:
            assert rejected.rule == "placeholder-value"
    assert time.process_time() - began < 1
