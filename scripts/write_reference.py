"""Write the pages of reference: settings, commands and chat formats, from the code itself.

python scripts/write_reference.py
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path

from chat.formats.examples import written_example
from chat.formats.known import FORMATS
from console.command import run
from console.help import help_text
from console.picture import terminal_picture
from storage.atomic import new_file
from training.config import Config
from training.setting_table import SettingGroup, other_values, setting_groups

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = ("finetune.py", "ds_finetune.py", "chat_completion.py")
LAUNCHED = {"ds_finetune.py": "deepspeed --num_gpus=8"}
SETTINGS_HEAD = """\
# Settings

Every setting of a run, with what it may be, what it is by default, and what `configs/finetune.json`
says instead, which `finetune.py` reads where it is told no other file. It stands in a JSON file
(`configs/`) or is a flag of `finetune.py` and `ds_finetune.py`: `--training.batch_size=16`. Unknown
names are refused with the nearest known one.

This page is written by `python scripts/write_reference.py` from the declarations in `training/`; do
not edit it.
"""
COMMANDS_HEAD = """\
# Commands

Every command with what `--help` says. A flag may be written with `-` or `_`, its value after `=` or
a space. Each is also one of `llama-tools`: `llama-tools build-dataset` runs
`scripts/build_dataset.py`. Every command takes `--quiet` (errors and warnings alone, and of
`evaluate`, `plan` and `doctor` the answer in one line) and `--debug` (the traceback of an error),
and what reads files that another command wrote takes `--trust-files`
([reliability](reliability.md)).

This page is written by `python scripts/write_reference.py`; do not edit it.
"""

FORMATS_HEAD = """\
# Chat formats, written out

One conversation as each format writes it: a question, a call, its result, an answer; less of it
where a format cannot write that. Between ⟦ and ⟧ stands what is trained. Where a format writes
earlier turns otherwise once more follows, each reply is a sequence of its own. What the formats are
for, and which servers read them: [chat-formats.md](chat-formats.md).

This page is written by `python scripts/write_reference.py` from `chat/formats/`; do not edit it.
"""


def main(output_dir: str = "docs") -> None:
    """Write the pages of settings, commands and chat formats, and the demo's picture, anew.

    Args:
        output_dir: The directory to write them to.
    """
    for name, page in PAGES.items():
        file, text = Path(output_dir) / name, page()
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as partial:
            partial.write_text(text, encoding="utf-8")
        print(f"{file}: {text.count(chr(10))} lines")


def settings_page() -> str:
    """Return the page of all settings, a table a section."""
    file = importlib.import_module("finetune").CONFIG
    others = other_values(Config, str(ROOT / file))
    return SETTINGS_HEAD + "".join(
        _settings_part(group, others) for group in setting_groups(Config)
    )


def commands_page() -> str:
    """Return the page of all commands, each with its help."""
    names = [*ENTRY_POINTS, *(f"scripts/{file.name}" for file in _scripts())]
    return COMMANDS_HEAD + "".join(
        f"\n## {name.removeprefix('scripts/')}\n\n```text\n{_help(name)}\n```\n" for name in names
    )


def formats_page() -> str:
    """Return the page of all chat formats, each with the example as it writes it."""
    parts = []
    for name, format in FORMATS.items():
        texts = "".join(f"\n````text\n{text}\n````\n" for text in written_example(format))
        parts.append(f"\n## {name}\n{texts}")
    return FORMATS_HEAD + "".join(parts)


def demo_picture() -> str:
    """Return the end of `make demo` as a picture, of the run that docs/demo.md holds."""
    page = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0].rstrip()
    return terminal_picture(f"$ make demo\n...\n{shown}", max(map(len, shown.splitlines())) + 2)


PAGES = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "chat-format-examples.md": formats_page,
    "images/demo.svg": demo_picture,
}


def _settings_part(group: SettingGroup, others: Mapping[str, str]) -> str:
    rows = "".join(
        f"| `{setting.name}` | {setting.values} | {setting.default} | "
        f"{others.get(setting.name, '')} | {setting.sentence} |\n"
        for setting in group.settings
    )
    absent = "" if group.given else " Null, unless one of its settings is given."
    return (
        f"\n## {group.name or 'The run'}\n\n{group.about}{absent}\n\n"
        f"| setting | values | default | in the file | what it does |\n"
        f"|---|---|---|---|---|\n{rows}"
    )


def _scripts() -> list[Path]:
    return sorted(Path(__file__).parent.glob("[!_]*.py"))


def _help(name: str) -> str:
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    if not inspect.signature(module.main).parameters:
        return str(module.parser().format_help()).rstrip()
    shown = help_text(module.main, f"{LAUNCHED.get(name, 'python')} {name}")
    return shown.partition("\n\nEvery command:")[0]


if __name__ == "__main__":
    run(main)
