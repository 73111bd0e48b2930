"""The export to Hugging Face as a user types it: what lies beside the weights, what is printed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Outcome, run_command
from native_directories import write_native
from small_tokenizers import write_tokenizer_json
from speaking_model import TOKENIZER
from tiny_models import TINY

pytest.importorskip("pydantic")
from chat.formats.known import FORMATS
from chat.formats.template import chat_template
from chat.tokenizers.tokenizer import load_tokenizer
from scripts.convert_to_hf_weights import main

SERVING = {"Modelfile", "chat_template.jinja", "llama3_tool_parser.py", "serve.md"}
# Exports a model that remembers a chat format, or none where that is None.
Export = Callable[[str | None], Outcome]


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    native, target = tmp_path / "native", tmp_path / "hf"
    write_native(native, replace(TINY, vocab_size=load_tokenizer(TOKENIZER).vocab_size))
    shutil.copyfile(TOKENIZER, native / "tokenizer.model")

    def run(format_name: str | None) -> Outcome:
        if format_name is not None:
            (native / "chat_format.json").write_text(json.dumps({"name": format_name}))
        flags = [f"--ckpt-dir={native}", f"--output-dir={target}"]
        return run_command(main, [*flags], monkeypatch, capsys)

    return run


def test_model_with_a_format_gets_files_and_a_table(export: Export, tmp_path: Path) -> None:
    outcome = export("llama3")
    assert outcome.code == 0, outcome.error
    target = tmp_path / "hf"
    assert {file.name for file in target.iterdir()} > SERVING
    assert "response_template" in json.loads((target / "tokenizer_config.json").read_text())
    assert "Replies in the format llama3, as servers read them:" in outcome.out
    assert "vLLM          tool_uses          15     0" in outcome.out
    assert f"{target}/serve.md has the command of each server" in outcome.out
    flags = f"--tool-call-parser tool_uses --tool-parser-plugin {target}/llama3_tool_parser.py"
    assert f"vllm serve {target} --enable-auto-tool-choice {flags}" in outcome.out
    assert 'PARAMETER stop "<|eot_id|>"' in (target / "Modelfile").read_text()
    # The page names the place where the export is, not where it was put together.
    assert f"vllm serve {target} " in (target / "serve.md").read_text()


def test_a_tokenizer_json_under_another_name_is_told(export: Export, tmp_path: Path) -> None:
    export(None)
    (tmp_path / "native/tokenizer.model").unlink()
    size = load_tokenizer(TOKENIZER).vocab_size
    write_tokenizer_json(tmp_path / "native/tekken.json", "smollm2", size)
    outcome = export(None)
    assert outcome.code == 1
    assert "tekken.json holds a tokenizer.json; name it tokenizer.json" in outcome.error


def test_an_earlier_export_that_is_replaced_is_told(export: Export) -> None:
    told = "compared bit for bit; what an earlier run of this command wrote there is replaced\n"
    assert told not in export("llama3").out and told in export("llama3").out


def test_template_is_the_formats_and_no_longer_the_bases(export: Export, tmp_path: Path) -> None:
    settings = {"chat_template": "{{ 1 / 0 }}", "response_template": {}, "auto_map": {"A": "x--y"}}
    base = json.dumps({**settings, "eos_token": "<|eot_id|>"})
    (tmp_path / "native").joinpath("tokenizer_config.json").write_text(base)
    (tmp_path / "native").joinpath("chat_template.jinja").write_text("{{ 1 / 0 }}")
    outcome = export("llama3")
    assert outcome.code == 0, outcome.error
    written = (tmp_path / "hf" / "chat_template.jinja").read_text()
    assert written == chat_template(FORMATS["llama3"])
    settings = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert settings.keys() == {"eos_token", "response_template"} and settings["response_template"]


def test_code_that_a_base_names_is_left_out_without_a_format(
    export: Export, tmp_path: Path
) -> None:
    settings = {"auto_map": {"AutoTokenizer": ["a/b--c.D", None]}, "chat_template": "its own"}
    (tmp_path / "native").joinpath("tokenizer_config.json").write_text(json.dumps(settings))
    assert export(None).code == 0
    written = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert written == {"chat_template": "its own"}


def test_settings_of_a_tokenizer_nested_deeply_are_one_line(export: Export, tmp_path: Path) -> None:
    (tmp_path / "native").joinpath("tokenizer_config.json").write_text("[" * 100_000)
    outcome = export("llama3")
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "tokenizer_config.json is not JSON: " in outcome.error
    assert not (tmp_path / "hf").exists()


def test_the_next_command_has_the_parser_that_loses_least(export: Export, tmp_path: Path) -> None:
    outcome = export("llama3_1")
    assert outcome.code == 0, outcome.error
    command = f"vllm serve {tmp_path / 'hf'} --enable-auto-tool-choice --tool-call-parser hf  "
    assert command in outcome.out
    assert not (tmp_path / "hf" / "llama3_tool_parser.py").exists()
    assert (
        "- `llama3_json` reads 11 of 11 shapes; streamed, it also loses: text that is JSON, no"
        in (tmp_path / "hf" / "serve.md").read_text()
    )


def test_a_model_without_a_format_gets_none_of_them(export: Export, tmp_path: Path) -> None:
    outcome = export(None)
    assert outcome.code == 0, outcome.error
    assert not SERVING & {file.name for file in (tmp_path / "hf").iterdir()}
    settings = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert "response_template" not in settings
    (line,) = [line for line in outcome.out.splitlines() if "no chat format" in line]
    assert line.startswith("this checkpoint remembers no chat format, so neither a chat template")


def test_an_unknown_format_is_one_line_and_leaves_nothing(export: Export, tmp_path: Path) -> None:
    outcome = export("llama33")
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert "unknown chat format 'llama33'; did you mean llama3?" in outcome.error
    assert not (tmp_path / "hf").exists()


def test_a_directory_that_cannot_be_written_is_one_line(export: Export, tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("a file")
    outcome = export("llama3")
    assert (outcome.code, outcome.error.count("\n")) == (1, 1)
    assert str(tmp_path / "hf") in outcome.error


def test_transformers_reads_calls_with_the_exported_tokenizer(
    export: Export, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    assert export("llama3").code == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    call = '{"recipient_name": "functions.add", "parameters": {"a": [1, {"b": "}]}"}]}}'
    said = tokenizer.parse_response(
        f'Adding.\n{{"tool_uses": [{call}, {call}]}}<|eot_id|>',
        prefix="<|start_header_id|>assistant<|end_header_id|>\n\n",
    )
    function = {"name": "add", "arguments": {"a": [1, {"b": "}]}"}]}}
    made = {"type": "function", "function": function}
    assert said == {"role": "assistant", "content": "Adding.", "tool_calls": [made, made]}
