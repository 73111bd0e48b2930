"""Interactive chat at a real terminal: streamed, with tools that run, with history, stoppable."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Outcome, run_command
from pseudo_terminal import CTRL_C, CTRL_D, at_terminal
from safetensors.torch import load_file, save_file
from speaking_model import TOKENIZER, write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import NO_CALLS
from chat.tokenizers.tokenizer import load_tokenizer
from chat_completion import main
from inference.chat_model import ChatModel
from inference.loading import Source, load_chat_model
from synthesis.catalogue import select
from synthesis.declaration import result_text
from weights.chat_record import write_chat_record
from weights.directory import WEIGHTS_FILE

# Its prompts are short.
FORMAT = "llama3_short"
AIR = select(only_tools=["get_air_quality"]).tools[0]
OSLO = ToolCall("get_air_quality", {"city": "Oslo"})
ATLANTIS = ToolCall("get_air_quality", {"city": "Atlantis"})
DOOR = Tool("door", "", {"type": "object", "properties": {"open": {"type": "boolean"}}})
OPEN = ToolCall("door", {"open": True})
WRONG = ToolCall("door", {"open": "wide"})


def call(*calls: ToolCall) -> Message:
    return Message("assistant", "", calls)


def result(text: str) -> Message:
    return Message("tool", text)


AIRY = (
    Message("user", "How is the air in Oslo?"),
    call(OSLO),
    result(result_text(AIR.run(OSLO.arguments))),
    Message("assistant", "It is fine."),
)
LEARNED = [
    Conversation(
        (
            *AIRY,
            Message("user", "And there?"),
            call(ATLANTIS),
            result(result_text(AIR.run(ATLANTIS.arguments))),
            Message("assistant", "No such city."),
        ),
        (AIR.tool,),
    ),
    Conversation((Message("user", "And there?"), Message("assistant", "Where?")), (AIR.tool,)),
    Conversation(
        (
            Message("user", "Open the door"),
            call(OPEN, WRONG),
            result('"opened"'),
            result("null"),
            Message("assistant", "It is open."),
        ),
        (DOOR,),
    ),
    Conversation(
        (
            Message("user", "Break"),
            Message("assistant", '{"tool_uses": [{"recipient_name": 7}]}'),
            Message("user", "Call another"),
            call(ToolCall("window", {})),
            result('{"error": "there is no tool window"}'),
            Message("assistant", "I have \x1b[31mno\x07 window."),
        ),
        (DOOR,),
    ),
    Conversation(
        (Message("user", "Loop"), *(call(OPEN), result("1")) * 8),
        (DOOR,),
    ),
]
Talk = Callable[..., Outcome]
# Readline may miss a signal that comes just when it begins to wait; the next key lets it see.
INTERRUPT = CTRL_C + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned some conversations, a copy that never stops, a tools file."""
    folder = tmp_path_factory.mktemp("talk")
    write_speaking_model(folder / "model", LEARNED, steps=75, chat_format=FORMAT)
    write_chat_record(folder / "model", FORMAT)
    endless = folder / "endless"
    shutil.copytree(folder / "model", endless)
    state = load_file(folder / "model" / WEIGHTS_FILE)
    state["output.weight"][load_tokenizer(TOKENIZER).special_tokens["<|eot_id|>"]] = 0
    save_file(state, endless / WEIGHTS_FILE)
    (folder / "tools.json").write_text(json.dumps([DOOR.to_record()]))
    return folder


def command(model: Path, **flags: object) -> list[object]:
    given = {"ckpt_dir": model, "temperature": 0, **flags}
    parts = [part for name, value in given.items() for part in ("--" + name, value)]
    return ["chat_completion.py", "--interactive", *parts]


def test_built_in_tool_runs_and_history_lasts_until_new(
    folder: Path,
) -> None:
    with at_terminal(command(folder / "model", tools="get_air_quality")) as terminal:
        assert "Tools: get_air_quality" in terminal.until("> ")
        terminal.press("How is the air in Oslo?\n")
        terminal.until('calls get_air_quality {"city": "Oslo"}')
        terminal.until(f"get_air_quality gives {AIRY[2].content}")
        terminal.until("It is fine.\n> ")
        terminal.press("And there?\n")
        terminal.until('calls get_air_quality {"city": "Atlantis"}')
        terminal.until("""{"error": "unknown city 'Atlantis'"}""")
        terminal.until("No such city.\n> ")
        terminal.press("/new\n")
        terminal.until("> ")
        terminal.press("And there?\n")
        terminal.until("Where?\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "Next:" in terminal.text
    # The incomplete call was shown while it was generated, on a line that was then cleared.
    assert '… {"tool_uses": [{"recip' in terminal.text
    assert "\x1b[2K" in terminal.raw


def test_user_types_the_results_of_own_tools(folder: Path) -> None:
    flags = {"tools_file": folder / "tools.json"}
    with at_terminal(command(folder / "model", **flags)) as terminal:
        terminal.until("> ")
        terminal.press("Open the door\n")
        terminal.until('calls door {"open": true}')
        terminal.until("door gives? ")
        terminal.press('"opened"\n')
        assert "its arguments do not fit: 'wide' is not" in terminal.until("door gives? ")
        terminal.press("\n")
        terminal.until("It is open.\n> ")
        terminal.press("/new\n")
        terminal.until("> ")
        terminal.press("Open the door\n")
        terminal.until("door gives? ")
        terminal.press(INTERRUPT)
        terminal.until("(stopped; this turn is forgotten)\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0


def test_ctrl_c_stops_a_reply_but_not_the_chat(folder: Path) -> None:
    flags = {"tools": "get_air_quality", "max_seq_len": 100_000, "max_gen_len": 100_000}
    with at_terminal(command(folder / "endless", **flags)) as terminal:
        terminal.until("> ")
        terminal.press(INTERRUPT)
        terminal.until("> ")
        for _ in range(2):
            terminal.press("And there?\n")
            terminal.until("Where?")
            terminal.press(CTRL_C)
            terminal.until("(stopped)\n> ")
            terminal.press("/new\n")
            terminal.until("> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0


@pytest.fixture
def talk(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """Run the chat with lines of input from a file, without a terminal."""

    def talk(*lines: str, model: str = "model", **flags: object) -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
        arguments = command(folder / model, **flags)[1:]
        return run_command(main, arguments, monkeypatch, capsys)

    return talk


def test_unreadable_calls_and_unknown_tools_are_reported(talk: Talk, folder: Path) -> None:
    outcome = talk("Break", "Call another", tools_file=folder / "tools.json")
    assert outcome.code == 0
    assert '{"tool_uses": [{"recipient_name": 7}]}\n(not read as a call, nothing' in outcome.out
    assert 'window gives {"error": "there is no tool window"}' in outcome.out
    # Control characters in a reply do not reach the terminal.
    assert "I have \ufffd[31mno\ufffd window." in outcome.out


def test_constrained_calls_conform_to_the_schemas(talk: Talk, folder: Path) -> None:
    outcome = talk("Open the door", '"opened"', tools_file=folder / "tools.json", constrain=True)
    assert 'calls door {"open": true}' in outcome.out
    assert "wide" not in outcome.out
    assert "constrained decoding took" in outcome.out


def test_format_without_calls_is_offered_no_tools(
    talk: Talk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_without_calls(source: Source) -> ChatModel:
        chat_model = load_chat_model(source)
        return replace(chat_model, format=replace(chat_model.format, calls=NO_CALLS))

    monkeypatch.setattr("chat_completion.load_chat_model", load_without_calls)
    assert "Tools: none" in talk().out
    outcome = talk(tools_file=folder / "tools.json")
    assert outcome.code == 1 and outcome.error.count("\n") == 1
    assert "the chat format llama3_short has no calls; leave out --tools and" in outcome.error


def test_conversation_beyond_the_limit_can_start_over(talk: Talk) -> None:
    flags = {"tools": "get_air_quality", "max_seq_len": 1024}
    outcome = talk("And there?", "x " * 1000, "/new", "And there?", **flags)
    assert outcome.code == 0
    assert outcome.out.count("Where?") == 2
    assert "tokens, and with its reply it may have 1,024; /new starts over" in outcome.out


def test_default_length_leaves_room_beside_many_tools(talk: Talk, folder: Path) -> None:
    """Twenty such tools alone take over a thousand tokens."""
    tools = [replace(AIR.tool, name=f"get_air_quality_{n}").to_record() for n in range(20)]
    (folder / "many.json").write_text(json.dumps(tools))
    outcome = talk("x " * 700, tools_file=folder / "many.json", max_gen_len=1)
    assert (outcome.code, "tokens, and with its reply" in outcome.out) == (0, False)
    refused = talk("x " * 700, tools_file=folder / "many.json", max_seq_len=2048)
    assert "tokens, and with its reply it may have 2,048" in refused.out


def test_help_lists_the_commands_that_exist(talk: Talk) -> None:
    listed = talk("/help", tools="none").out
    assert all(f"  {name}" in listed for name in ("/help", "/tools", "/new", "/exit"))
    assert talk("help", tools="none").out.count("/tools") == listed.count("/tools") == 1


def test_tools_lists_parameters_and_who_gives_results(talk: Talk, folder: Path) -> None:
    outcome = talk("/tools", tools="get_air_quality", tools_file=folder / "tools.json")
    assert f"get_air_quality(city), executed: {AIR.tool.description}" in outcome.out
    assert "door(open?), you type its results\n" in outcome.out
    assert "no tools; --tools and --tools-file offer some" in talk("/tools", tools="none").out


@pytest.mark.parametrize("word", ["exit", "quit", "/exit", "EXIT"])
def test_exit_ends_the_chat_and_is_no_message(talk: Talk, word: str) -> None:
    outcome = talk("And there?", word, "And there?", tools="get_air_quality")
    assert (outcome.code, outcome.out.count("Where?")) == (0, 1)


def test_unknown_command_is_not_said_to_the_model(talk: Talk) -> None:
    outcome = talk("/tool", "/etc/hosts, what is that?", tools="none", max_gen_len=1)
    assert outcome.out.count("(no command /tool; /help lists them)") == 1
    assert outcome.out.count("(cut off") == 1


def test_truncated_reply_is_reported(talk: Talk) -> None:
    assert "(cut off: raise" in talk("And there?", tools="get_air_quality", max_gen_len=1).out


def test_an_endless_reply_is_cut_off_by_default(talk: Talk) -> None:
    outcome = talk("And there?", tools="get_air_quality", model="endless")
    assert "(cut off: raise --max-gen-len (512) or --max-seq-len for more)" in outcome.out
    assert outcome.code == 0


def test_piped_input_lines_are_echoed(talk: Talk) -> None:
    assert "> And there?\nWhere?\n> " in talk("And there?", tools="get_air_quality").out


def test_endless_calls_stop_after_eight_rounds(talk: Talk, folder: Path) -> None:
    outcome = talk("Loop", *["1"] * 8, "Break", tools_file=folder / "tools.json", max_seq_len=4096)
    assert outcome.out.count("door gives?") == 8
    assert "(8 rounds of calls; it is your turn)" in outcome.out
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"tools": "get_air_qualty"}, "did you mean get_air_quality?"),
        ({"tools": "xyz"}, "no built-in tool or domain 'xyz'; domains are weather,"),
        ({"tools_file": "nowhere.json"}, "nowhere.json does not exist"),
    ],
)
def test_unknown_tools_are_rejected_before_the_model_loads(
    talk: Talk, flags: dict[str, object], problem: str
) -> None:
    outcome = talk("Hi", model="nowhere", **flags)
    assert outcome.code == 1
    assert outcome.error.count("\n") == 1
    assert problem in outcome.error
