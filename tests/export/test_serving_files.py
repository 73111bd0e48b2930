"""The files beside exported weights: commands, parsers, stops, plugin and response template."""

import json
from pathlib import Path

import pytest
from vllm_stand_in import PLUGIN

from chat.formats.known import FORMATS, find_format
from export.serve_check import Outcome, ServeCheck, check_serving, format_response_template
from export.servers import PARSERS, TITLES, serving_command
from export.serving_files import format_modelfile, format_serve_page, write_serving_files

LLAMA3 = find_format("llama3")


def write(directory: Path) -> None:
    place = Path("/models/my llama")
    write_serving_files(directory, LLAMA3, check_serving(LLAMA3), place, ["<|eot_id|>", 'a"b'])


def test_an_export_of_llama3_has_every_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "x"}')
    write(tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    beside = {"Modelfile", "chat_template.jinja", "serve.md", "tokenizer_config.json"}
    assert names == {*beside, "llama3_tool_parser.py"}
    assert (tmp_path / "llama3_tool_parser.py").read_bytes() == PLUGIN.read_bytes()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    template = format_response_template(LLAMA3)
    assert settings == {"eos_token": "x", "response_template": template}


def test_a_response_template_begins_at_the_opening_of_a_reply() -> None:
    template = format_response_template(LLAMA3)
    assert template is not None
    opening = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert template["start_anchor"] == [opening]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_files(tmp_path: Path, name: str) -> None:
    format = FORMATS[name]
    check = check_serving(format)
    write_serving_files(tmp_path, format, check, Path("/m"), format.stop_tokens)
    page = (tmp_path / "serve.md").read_text()
    assert f"the chat format `{name}`" in page
    assert page.count("\n## ") >= len(TITLES)
    best = check.best_parser("vllm")
    assert (
        f"vllm serve /m{f' --enable-auto-tool-choice --tool-call-parser {best}' * bool(best)}"
        in page
    )
    assert (tmp_path / "llama3_tool_parser.py").exists() == (name in ("llama3", "llama3_short"))
    assert (tmp_path / "tokenizer_config.json").exists() == (name in PARSERS)


def test_the_page_has_a_command_for_each_server(tmp_path: Path) -> None:
    write(tmp_path)
    page = (tmp_path / "serve.md").read_text()
    for title in TITLES.values():
        assert f"\n## {title}\n" in page
    assert (
        "vllm serve '/models/my llama' --enable-auto-tool-choice --tool-call-parser tool_uses "
        "--tool-parser-plugin '/models/my llama'/llama3_tool_parser.py\n"
    ) in page
    assert "python convert_hf_to_gguf.py '/models/my llama' --outfile " in page
    assert "ollama create NAME --file '/models/my llama/Modelfile'" in page


def test_page_lists_lost_and_unwritable_shapes() -> None:
    outcomes = (Outcome("vllm", "hermes", ("text", "one call"), ("unicode",), ("one call",)),)
    check = ServeCheck("qwen2_5", outcomes, ("parallel calls",))
    page = format_serve_page(check, Path("/m"))
    assert "which was not checked for this template" in page
    assert (
        "- `hermes` reads 2 of 3 shapes; it loses: unicode; streamed, it also loses: one call."
    ) in page
    assert page.count("None of its parsers reads this format") == 2
    assert "so none of them was trained: parallel calls." in page


def test_the_modelfile_states_stops_and_no_template() -> None:
    lines = format_modelfile(["<|eot_id|>", 'a"b']).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "REQUIRES 0.30.0",
        "FROM ./model.gguf",
        'PARAMETER stop "<|eot_id|>"',
        'PARAMETER stop "a\\"b"',
    ]


@pytest.mark.parametrize("format_name", PARSERS)
def test_a_plugin_is_named_by_its_absolute_path(format_name: str) -> None:
    """vLLM takes a path that begins with a dot for the name of a module."""
    for parser in PARSERS[format_name]["vllm"]:
        command = serving_command("vllm", parser, "/m")
        assert command.startswith(
            f"vllm serve /m --enable-auto-tool-choice --tool-call-parser {parser}"
        )
        assert ("--tool-parser-plugin /m/" in command) == (parser == "tool_uses")


def test_a_tokenizer_configuration_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer_config.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=f"{file} is not JSON"):
        write(tmp_path)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "Modelfile").mkdir()
    with pytest.raises(OSError, match="Modelfile"):
        write(tmp_path)
