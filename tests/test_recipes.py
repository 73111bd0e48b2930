"""The recipes' pages run: every command, in order, on tiny models in the layout of the downloads.

A folder of real downloads, named by FC_RECIPE_MODELS, is taken in place of the tiny ones.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from command_lines import ROOT
from commands import Outcome, run_command
from launches import environment, free_port
from recipe_models import place_download
from recipe_pages import PAGES, SETTINGS, TINY, commands_of, downloads_of, page, shortened
from recipe_rows import ASKED, FILES, write_weather_rows
from served_model import served


class End(NamedTuple):
    """What a page leads to: folders of the project and of ~/models, and what they hold."""

    chat_format: str
    merged: str
    exported: str
    model_type: str


ENDS = {
    "lmflow": End("llama3_for_tool", "checkpoints/lmflow_tools_merged", "lmflow-tools-hf", "llama"),
    "mistral-glaive": End(
        "glaive_text", "checkpoints/mistral_glaive_merged", "mistral-glaive-hf", "mistral"
    ),
    "phi3-xlam": End("phi3_xlam", "checkpoints/phi3_xlam_merged", "phi3-xlam-hf", "phi3"),
    "tool-using": End("tool_call_tags", "output/tool_using_merged", "tool-using-hf", "mistral"),
}
HOME = "home"
Type = Callable[[str], Outcome]
LAUNCHER = "examples/run_function_call_finetune.sh"
# What the README that a page follows names: flags, arguments and steps.
THEIRS = {
    "lmflow": "--model_name_or_path --model-name-or-path --trust_remote_code "
    "--conversation_template --dataset_path --output_model_path llama3_for_tool qwen2_for_tool "
    "bitsandbytes deepspeed flash-attn peft torch transformers vllm xformers "
    "type instances system tools messages user function observation assistant",
    "mistral-glaive": "requirements.txt glaive-function-calling-v2 110,700 2,260 -100 QLoRA run.sh "
    "convert_weights.py --model_path --adapter_path --save_path SYSTEM USER ASSISTANT "
    "FUNCTION custom_function.txt <\\|endoftext\\|> NexusRaven FSDP embeddings",
    "phi3-xlam": "Phi-3-mini-128k-instruct flash_attn compute_dtype attn_implementation use_fast "
    "pad_token pad_token_id padding_side load_in_4bit bnb_4bit_quant_type bnb_4bit_compute_dtype "
    "bnb_4bit_use_double_quant device_map prepare_model_for_kbit_training use_reentrant use_cache "
    "lora_alpha lora_dropout r=16 bias task_type target_modules output_dir optim "
    "per_device_train_batch_size gradient_accumulation_steps log_level save_steps logging_steps "
    "learning_rate fp16 bf16 max_steps warmup_ratio lr_scheduler_type dataset_text_field "
    "max_seq_length SFTTrainer process num_proc load_from_cache_file eos_token from_pretrained "
    "torch_dtype quantization_config do_sample temperature max_new_tokens skip_special_tokens",
    "tool-using": "--model_name --data_path --output_dir --num_examples --num_train_epochs "
    "--per_device_train_batch_size --gradient_accumulation_steps --learning_rate --save_strategy "
    "--save_steps --eval_steps --save_total_limit --seed --generate_only --base_model_inference "
    "--checkpoint_dir --base_model_name --output_file --max-new-tokens --temperature messages "
    "tools tool_calls name parameters Tool ToolParameter EXAMPLE_TOOLS <tool_call>",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a clone of the project, in which commands are typed."""
    folder = tmp_path / "project"
    folder.mkdir()
    names = ("scripts", "configs", "examples", "finetune.py", "ds_finetune.py")
    for name in (*names, "chat_completion.py"):
        (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / HOME))
    return folder


def place_what_a_page_reads(name: str, project: Path) -> tuple[str, ...]:
    """Put models and data where a page's commands read them; return what shortens a training."""
    home, text = project.parent / HOME, page(name)
    real = [place_download(home / "models", model) for model in downloads_of(name)]
    for typed, write in FILES.items():
        if typed in text:
            write(home / typed[2:] if typed.startswith("~/") else project / typed)
    return SETTINGS if any(real) else (*SETTINGS, *TINY)


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run a line of Python in this process as a shell would start it, others in a shell."""

    def run(line: str) -> Outcome:
        program, script, *arguments = shlex.split(line)
        if program != "python":
            return in_a_shell(line)
        expanded = [str(Path(a).expanduser()) if a.startswith("~/") else a for a in arguments]
        module = import_module(script.removesuffix(".py").replace("/", "."))
        return run_command(module.main, expanded, monkeypatch, capsys)

    return run


def in_a_shell(line: str) -> Outcome:
    ended = subprocess.run(["bash", "-c", line], env=environment(), capture_output=True, text=True)
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def serve_and_ask(line: str) -> None:
    """Start the server that a line names, on a free port, and ask it once."""
    words = shlex.split(line)
    directory = Path(words[words.index("--ckpt-dir") + 1]).expanduser()
    with served(directory.resolve(), max_seq_len=8192) as server:
        (dialog, *_) = json.loads((ROOT / "examples/calculate_tax.json").read_text())
        body = {"model": server.model, "max_tokens": 4, **dialog}
        status, _, answer = server.post(json.dumps(body).encode())
        assert (status, answer["object"]) == (200, "chat.completion"), answer
        assert server.end() == 0


def run_page(name: str, project: Path, type_in: Type, leave_out: tuple[str, ...] = ()) -> int:
    """Run a page's commands in order; return how many. Those that begin so are left out."""
    settings = place_what_a_page_reads(name, project)
    lines = [line for line in commands_of(name) if not line.startswith(leave_out)]
    for line in lines:
        if line.startswith("python scripts/serve.py"):
            serve_and_ask(line)
            continue
        short = shortened(line, settings)
        ended = type_in(short)
        assert (ended.code, ended.error) == (0, ""), f"{short}\n{ended.error}"
    return len(lines)


def check_end(name: str, project: Path) -> None:
    """Check what a page leads to: a merged model, and its export, that know their chat format."""
    end = ENDS[name]
    record = json.loads((project / end.merged / "chat_format.json").read_text(encoding="utf-8"))
    assert record == {"name": end.chat_format}
    exported = project.parent / HOME / "models" / end.exported
    assert json.loads((exported / "config.json").read_text())["model_type"] == end.model_type
    beside = {"tokenizer.json", "chat_template.jinja", "Modelfile", "serve.md"}
    assert {"model.safetensors", *beside} <= {path.name for path in exported.iterdir()}


def test_a_recipe_leads_from_a_download_to_an_export(project: Path, type_in: Type) -> None:
    slow = ("deepspeed", "python scripts/serve.py", "python scripts/evaluate_checkpoints.py")
    assert run_page("phi3-xlam", project, type_in, leave_out=slow) > 10
    check_end("phi3-xlam", project)


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_recipe_runs_in_order(name: str, project: Path, type_in: Type) -> None:
    assert run_page(name, project, type_in) > 10
    check_end(name, project)


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_a_recipe_names_every_flag_of_its_original(name: str) -> None:
    rows = [line.split(" | ")[0] for line in page(name).splitlines() if line.startswith("| ")]
    named = [rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in THEIRS[name].split()]
    assert [word for word in named if not re.search(word, "\n".join(rows))] == []


@pytest.mark.parametrize(
    ("flags", "code", "error"),
    [
        ("", 2, "missing --model_name_or_path"),
        ("--modle x", 2, "unknown flag --modle"),
        ("-m", 2, "-m wants a value"),
        ("-m x -d y -o z --conversation_template llama2", 2, "wanted llama3_for_tool or qwen2"),
        ("-m x -d y -o z --trust_remote_code maybe", 2, "wanted True or False"),
        ("-m x -d y -o z --use-lora=2", 2, "--use_lora is 2, wanted 0 or 1"),
        ("-m x -d y -o z --validation_split_percentage 0", 2, "whole number from 1 to 99"),
        ("-m x -d y -o z", 1, "x is no directory; download the model there first"),
        ("--model-name-or-path examples -d y -o z", 1, "examples holds no weights"),
    ],
)
def test_the_launcher_refuses_wrong_flags_in_one_line(flags: str, code: int, error: str) -> None:
    ended = in_a_shell(f"cd {ROOT} && bash {LAUNCHER} {flags}")
    assert (ended.code, ended.out, ended.error.count("\n")) == (code, "", 1)
    assert ended.error.startswith("error: ") and error in ended.error


def test_the_launchers_help_names_its_flags() -> None:
    shown = in_a_shell(f"bash {ROOT / LAUNCHER} --help")
    assert (shown.code, shown.error) == (0, "")
    flags = [word for word in THEIRS["lmflow"].split() if word.startswith("--")]
    assert all(flag.replace("-name-or-path", "_name_or_path") in shown.out for flag in flags)


@pytest.mark.long
@pytest.mark.parametrize("use_lora", [1, 0])
def test_the_launcher_trains_on_two_ranks(use_lora: int, project: Path, type_in: Type) -> None:
    place_download(project.parent / HOME / "models", "Qwen2-7B")
    FILES["~/datasets/lmflow/glaive-function-calling-v2"](project / "my rows")
    ended = type_in(
        f"bash {LAUNCHER} -m ~/models/Qwen2-7B -d 'my rows' -o 'my output' --use-lora={use_lora} "
        "--conversation_template=qwen2_for_tool --validation_split_percentage 40 "
        f"--deepspeed_args '--num_gpus=2 --master_port={free_port()}' -- "
        + " ".join((*SETTINGS, *TINY))
    )
    assert (ended.code, ended.error) == (0, "")
    model = project / (
        "my output/merged" if use_lora else "my output/checkpoints/function_call/best"
    )
    assert f"The model is in {model.relative_to(project)}\n" in ended.out
    assert json.loads((model / "chat_format.json").read_text()) == {"name": "qwen2_for_tool"}
    assert (model / "consolidated.safetensors").is_file()


# Enough to know ten rows by heart.
BY_HEART = (
    "--name=by_heart --lora=null --training.epochs=100 --training.max_steps=160 "
    "--training.batch_size=8 --schedule.kind=cosine --schedule.learning_rate=5e-3 "
    "--model.quantization=null --optimizer.kind=adamw "
    "--schedule.warmup_steps=5 --schedule.total_steps=160 --logging.every=50 "
    "--checkpoint.every=160 --validation.every=160 --validation.generated=null "
    "--validation.best_metric=loss --model.dtype=float32 --model.device=cpu"
)


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "chat_format"),
    [
        ("Meta-Llama-3-8B", "llama3_for_tool"),
        ("Qwen2-7B", "qwen2_for_tool"),
        ("Phi-3-mini-128k-instruct", "phi3_xlam"),
        ("Mistral-7B-v0.1", "glaive_text"),
        ("Llama-2-7b-hf", "tool_call_tags"),
    ],
)
def test_a_model_that_knows_rows_by_heart_calls_and_stops(
    model: str, chat_format: str, project: Path, type_in: Type
) -> None:
    learn_by_heart(model, chat_format, project, type_in)
    ended = type_in(
        "python scripts/evaluate.py --ckpt-dir checkpoints/by_heart/final --dataset-file "
        "rows.jsonl --limit 10 --max-new-tokens 80 --output-file results.json"
    )
    assert (ended.code, ended.error) == (0, "")
    summary = json.loads((project / "results.json").read_text(encoding="utf-8"))["summary"]
    # Which city is called matters little here: a call in the format's own words is read, and ends.
    hits = {name: figure["hits"] for name, figure in summary["figures"].items()}
    assert summary["answered"] == 10 and summary["cut_off"] <= 1
    assert hits["name"] >= 8 and hits["valid_schema"] >= 8, hits


@pytest.mark.long
def test_a_model_that_learnt_whole_texts_makes_up_tools(project: Path, type_in: Type) -> None:
    learn_by_heart("Phi-3-mini-128k-instruct", "phi3_xlam", project, type_in, " --train-on all")
    (project / "prompts.json").write_text(json.dumps([f"<user>{ASKED[0][0]}</user>\n\n<tools>"]))
    ended = type_in(
        "python scripts/complete_text.py --ckpt-dir checkpoints/by_heart/final --prompts-file "
        "prompts.json --max-new-tokens 600"
    )
    assert (ended.code, ended.error) == (0, "")
    tools, _, calls = ended.out.partition("</tools>\n\n<calls>")
    assert '"name": "get_weather"' in tools
    assert calls.startswith('{"name": "get_weather", "arguments": {"city": "')
    assert "</calls>\n\nNext:" in calls


def learn_by_heart(
    model: str, chat_format: str, project: Path, type_in: Type, build_flags: str = ""
) -> None:
    """Train all weights of a tiny model on a few rows, until it knows them."""
    place_download(project.parent / HOME / "models", model)
    write_weather_rows(project / "rows.json")
    for line in (
        f"python scripts/convert_from_hf_weights.py --hf-dir ~/models/{model} --output-dir base",
        "python scripts/clean_dataset.py --source-file rows.json --save-file rows.jsonl",
        "python scripts/build_dataset.py --source-file rows.jsonl --tokenizer-file base "
        f"--save-dir dataset --chat-format {chat_format} --val-ratio 0.1{build_flags}",
        "python finetune.py --config-file configs/phi3_xlam.json --model.checkpoint_dir=base "
        f"--data.dataset_dir=dataset {BY_HEART}",
    ):
        ended = type_in(line)
        assert (ended.code, ended.error) == (0, ""), f"{line}\n{ended.error}"
