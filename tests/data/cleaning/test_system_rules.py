"""System texts lose what they demand of calls in another notation, and nothing else."""

import json

import pytest

from chat.conversation import Conversation, Message, Tool
from data.cleaning.system_rules import own_instructions

TIDE = Tool("find_tide", "Finds a tide.", {"type": "object", "properties": {}})
LISTED = json.dumps([TIDE.to_record()["function"]])
OWN = "You serve a harbour office."
EXPRESSION = "[func1(params_name1=params_value1, params_name2=params_value2...), func2(params)]"


def cleaned(text: str, tools: tuple[Tool, ...] = (TIDE,)) -> tuple[str, list[str]]:
    """Return the system text, and the passages that were taken out."""
    conversation = Conversation((Message("system", text), Message("user", "Tide?")), tools)
    draft = own_instructions(conversation)
    left = [m.content for m in draft.conversation.messages if m.role == "system"]
    return "".join(left), [change.before for change in draft.changes]


DEMANDS = [
    "For each function call return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags as follows:\n<tool_call>\n{"arguments": <args-dict>, '
    '"name": <function-name>}\n</tool_call>',
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    f"provided with function signatures within <tools></tools> XML tags:\n<tools>\n{LISTED}\n"
    "</tools>\n\nFor each function call, return a json object with function name and arguments "
    'within <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, '
    '"arguments": <args-json-object>}\n</tool_call>',
    "For each function call, output the function name and arguments within the following XML "
    "format:\n<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}"
    "</arg_value>\n...\n</tool_call>",
    "Here is a list of functions in JSON format that you can invoke.\nShould you decide to return "
    f"the function call(s), put it in the format of {EXPRESSION}",
    f"Here is a list of functions in JSON format that you can invoke:\n{LISTED}. \nShould you "
    f"decide to return the function call(s). \nPut it in the format of {EXPRESSION}\n\nNO other "
    "text MUST be included.",
    "If you decide to invoke any of the function(s), you MUST put it in the format of "
    f"{EXPRESSION}\nYou SHOULD NOT include any other text in the response.",
    "If you choose to call a function ONLY reply in the following format:\n"
    "<{start_tag}={function_name}>{parameters}{end_tag}\nwhere\n\nstart_tag => `<function`\n"
    "parameters => a JSON dict with the function argument name as key and function argument value "
    "as value.\nend_tag => `</function>`\n\nHere is an example,\n"
    '<function=example_function_name>{"example_name": "example_value"}</function>\n\nReminder:\n'
    "- Function calls MUST follow the specified format\n- Required parameters MUST be specified\n"
    "- Only call one function at a time\n- Put the entire function call reply on one line",
    "If you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n- Function calls MUST "
    "follow the specified format: an inner <function=...></function> block must be nested within "
    "<tool_call></tool_call> XML tags\n- Required parameters MUST be specified\n</IMPORTANT>",
    "Given the following functions, please respond with a JSON for a function call with its proper "
    "arguments that best answers the given prompt.\n\nRespond in the format "
    '{"name": function name, "parameters": dictionary of argument name and its value}. Do not use '
    "variables.",
    "Use the following format:\n\nQuestion: the input question you must answer\nThought: you "
    "should always think about what to do\nAction: the action to take, one of [find_tide]\n"
    "Action Input: the input to the action\nObservation: the result of the action\n... (this "
    "Thought/Action/Action Input/Observation can repeat N times)\nThought: I now know the final "
    "answer\nFinal Answer: the final answer to the original input question\n\nBegin!",
    "To call a tool, write a JSON object between <tool_call> and </tool_call> tags.",
    "Wrap every function call in <tool_call> tags.",
    "When you need a tool, answer with [TOOL_CALLS] and a list of calls.",
    'To call a function, respond with a JSON object of the form {"name": ..., "arguments": ...}.',
    "Put your calls in the format [tool_name(argument=value)].",
    "Tool calls must be written as <function=name>{arguments}</function>.",
    "When you want to use a tool, emit a JSON object inside <tool_call> and </tool_call> tags.",
    'If you need a tool, reply with JSON of the form {"name": ..., "arguments": {...}} alone.',
    "Return every function call as [func1(arg1=value1), func2(arg=value)].",
    "Use tools by writing [TOOL_CALLS] followed by a JSON list.",
    f"Here are the available tools: <tools> {LISTED} </tools> For each function call return a json "
    "object within <tool_call></tool_call> XML tags.",
]


@pytest.mark.parametrize("demand", DEMANDS)
@pytest.mark.parametrize("joint", [" ", "\n\n"])
def test_a_demand_of_another_notation_is_taken_out(demand: str, joint: str) -> None:
    text, passages = cleaned(f"{OWN}{joint}{demand}\nBe brief.")
    assert text.split() == f"{OWN} Be brief.".split()
    assert passages and all(passage in f"{OWN}{joint}{demand}" for passage in passages)


@pytest.mark.parametrize("demand", DEMANDS)
def test_a_system_text_of_demands_alone_is_left_out(demand: str) -> None:
    assert cleaned(demand)[0] == ""


def test_an_announcement_goes_with_what_it_announces() -> None:
    assert cleaned(f"{OWN} Here are the tools:\n\n{DEMANDS[0]}")[0] == OWN


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        f"{OWN}\nHere are the tools:\n\n- a hammer\n- a saw",
        'Write plans. A plan looks like this:\n{"name": "plan", "parameters": {"legs": "int"}}',
        "Explain to students what the tags <tool_call> and </tool_call> are for.",
        "If you see <tool_call> in a text, say that it opens a call.",
        "You know the notations of calls: <tool_call>, [TOOL_CALLS] and others.",
        "Use the following format: first the port, then the time.",
        'The output MUST strictly adhere to the following JSON format: {"high": "14:20"}',
        "Answer in the format [port, time].",
        "For each function call, say in one sentence what it is for.",
        "Reminder:\n- Be kind.",
        'When you write a plan, use JSON: {"name": "plan", "parameters": {"legs": 3}}',
        'If you use the search, say so. A record is {"name": "Gannet", "masts": 2}',
        "If you call a tool, tell the user what it found.",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert cleaned(text) == (text, [])


def test_what_is_left_between_two_demands_goes_with_them() -> None:
    lead_in = "Here is a list of functions in JSON format that you can invoke:"
    text, passages = cleaned(f"{OWN}\n{lead_in}\n\n. \nPut it in the format of {EXPRESSION}.")
    assert text == OWN and len(passages) == 1


def test_a_list_of_other_records_stays() -> None:
    lead_in = "Here is a list of functions in JSON format that you can invoke:"
    text, passages = cleaned(f'{OWN}\n{lead_in}\n[{{"name": "sing"}}]')
    assert text == f'{OWN}\n[{{"name": "sing"}}]' and passages == [lead_in]


def test_without_tools_nothing_is_taken_out() -> None:
    assert cleaned(DEMANDS[0], tools=()) == (DEMANDS[0], [])
