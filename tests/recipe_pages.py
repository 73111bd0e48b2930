"""The command lines of a recipe's page, as a reader would type them one after the other."""

import re

from command_lines import ROOT
from launches import free_port

PAGES = ("lmflow", "mistral-glaive", "phi3-xlam", "tool-using")


def page(name: str) -> str:
    """Return the text of docs/recipes/NAME.md."""
    return (ROOT / f"docs/recipes/{name}.md").read_text(encoding="utf-8")


def commands_of(name: str) -> list[str]:
    """Return every line of the blocks of bash in a page, in order, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", page(name), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


# What makes a command of a page short; settings are added, other values put in place.
SETTINGS = (
    *("--training.max_steps=2", "--training.batch_size=2", "--training.micro_batch_tokens=8192"),
    *("--schedule.warmup_steps=1", "--schedule.total_steps=null", "--logging.every=1"),
    *("--validation.every=1", "--validation.max_conversations=2", "--checkpoint.every=1"),
    *("--validation.generated.prompts=8", "--validation.generated.max_new_tokens=8"),
)
# For weights that were made for the test; real ones compute as the configuration says.
TINY = ("--model.dtype=float32", "--model.device=cpu")
_VALUES = {
    r"--val-ratio \S+": "--val-ratio 0.4",
    r"--num_examples (?:[12]000)": "--num_examples 40",
    r"--num-examples 500": "--num-examples 2",
    r"--max-new-tokens \d+": "--max-new-tokens 8",
    r"--max-gen-len \d+": "--max-gen-len 8",
}
# By the command's beginning; a flag that the line has already stays as it is.
_ADDED = {
    "python chat_completion.py": ("--max-gen-len 8", "--max-seq-len 8192"),
    "python scripts/evaluate.py": ("--limit 2", "--max-new-tokens 8", "--max-seq-len 8192"),
    "python scripts/evaluate_checkpoints.py": ("--max-new-tokens 8", "--max-seq-len 8192"),
}


def shortened(line: str, settings: tuple[str, ...]) -> str:
    """Return a command of a page with less to do; `settings` go to the training."""
    for pattern, value in _VALUES.items():
        line = re.sub(pattern, value, line)
    # A port of its own, as other tests launch too.
    line = re.sub(r"--num_gpus=\d+", f"--num_gpus=2 --master_port={free_port()}", line)
    if "finetune.py" in line:
        return " ".join((line, *settings))
    if line.startswith("bash examples/"):
        return " ".join((line, "--validation_split_percentage 40 --", *settings))
    given = line.replace("-", "_").replace("__num_examples", "__limit")
    for command, flags in _ADDED.items():
        if line.startswith(f"{command} "):
            new = (flag for flag in flags if flag.split()[0].replace("-", "_") not in given)
            return " ".join((line, *new))
    return line


def downloads_of(name: str) -> list[str]:
    """Return the folders of ~/models that a page's commands read before any of them writes one."""
    text = "\n".join(commands_of(name))
    read = re.findall(r"(?:--hf-dir|--model_name_or_path) ~/models/(\S+)", text)
    return list(dict.fromkeys(read))
