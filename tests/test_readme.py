"""Commands, files and links in the README and the documents exist."""

import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_lines import LAUNCHERS, ROOT, problem_of
from commands import run_command

from data.building.dataset import Settings, build_dataset
from data.cleaning.clean_file import clean_file
from data.soundness import check_soundness
from data.tokenized import TokenizedDataset
from scripts import plan

DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md")),
    "demo/NOTICE.md",
)
# What was tried and when: their commands are those of then.
RECORDS = ("docs/LOG.md", "docs/decisions/")
# Paths that commands make, and what stands for a name of the reader's own.
MADE = ("checkpoints/", "logs/", "runs/", "datasets/", "./", "~", "/", "../", "step-", "best/")
MADE += ("final/", "sources/", "serve.md")
OWN = ("NAME", "D")
# Pages all of whose files between backticks are of this repository, or made by its commands.
THOROUGH = ("concepts", "deepspeed", "journeys", "memory", "reading", "recipes", "start")
THOROUGH += ("troubleshooting",)
JUDGED = ("python", *LAUNCHERS)
EXTRA = re.compile(r"python -m pip install -e '\.\[(\w+)\]'")
SHELL = {"source .venv/bin/activate", "python3 -m venv .venv"}
# The installation from the lock file.
SHELL |= {
    "python -m pip install \"$(grep '^torch==' requirements.txt)\"",
    "python -m pip install --require-hashes --no-deps -r requirements.lock",
    "python -m pip install --no-deps -e .",
}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def documented_commands() -> list[str]:
    """Every command line in a block of shell, or between backticks, without its comment."""
    found = []
    for document in DOCUMENTS:
        if document.startswith(RECORDS):
            continue
        text = text_of(document)
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
            found += block.splitlines()
        found += re.findall(
            r"`((?:python3?|make|bash|deepspeed|torchrun) [^`]+)`",
            re.sub(r"```.*?```", "", text, flags=re.S),
        )
    lines = {line.partition("  #")[0].strip() for line in found}
    return sorted(line for line in lines - SHELL if line and not line.startswith("#"))


COMMANDS = documented_commands()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("python scripts/no_such.py", "there is no scripts/no_such.py"),
        ("python scripts/make_random_model.py --output-dir D --seeds 3", "has no flag --seeds"),
        ("python scripts/make_random_model.py --num-shards 2", "wants --output_dir"),
        ("python scripts/evaluate.py --limit 3 --num-examples 3", "are one flag in two spellings"),
        ("python finetune.py --lora.rnk=3", "unknown flag --lora.rnk"),
        ("python finetune.py --lora.rank=few", "--lora.rank is 'few'"),
        ("python scripts/benchmark.py --devise cpu", "unrecognized arguments: --devise"),
        ("deepspeed --gpus=8 ds_finetune.py", "unrecognized arguments: --gpus=8"),
        ("deepspeed --num_gpus=8 ds_finetune.py --lora.rnk=3", "unknown flag --lora.rnk"),
        ("torchrun --num_gpus=8 ds_finetune.py", "unrecognized arguments: --num_gpus=8"),
        ("torchrun --nproc_per_node=8 no_such.py", "there is no no_such.py"),
    ],
)
def test_a_wrong_command_is_noticed(line: str, problem: str):
    assert problem in problem_of(line)


def test_commands_of_the_readme_are_found():
    assert "make demo" in COMMANDS
    assert "python finetune.py" in COMMANDS
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", [*filter(EXTRA.fullmatch, COMMANDS)])
def test_a_documented_extra_is_declared(line: str):
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert EXTRA.fullmatch(line)[1] in project["optional-dependencies"]


@pytest.mark.parametrize(
    "line", [line for line in COMMANDS if line.startswith(JUDGED) and not EXTRA.fullmatch(line)]
)
def test_a_documented_command_has_its_script_and_flags(line: str):
    assert problem_of(line) == ""


@pytest.mark.parametrize("line", [line for line in COMMANDS if not line.startswith(JUDGED)])
def test_other_documented_commands_exist(line: str):
    words = [word for word in line.split() if "=" not in word]
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[0] == "bash":
        assert (ROOT / words[1]).is_file()
    else:
        assert words[0] == "tensorboard"
        assert (Path(sys.executable).parent / "tensorboard").is_file()


def test_multi_node_scripts_are_valid_shell_with_valid_commands():
    scripts = re.findall(r"```sh\n(.*?)```", text_of("docs/deepspeed.md"), re.DOTALL)
    started = [
        re.sub(r"\$\w+", "1", command)
        for script in scripts
        for command in re.findall(rf"(?:{'|'.join(LAUNCHERS)}) [^'\"\n]+", script)
    ]
    assert len(started) == len(scripts) == 2
    assert [problem_of(command) for command in started] == ["", ""]
    for script in scripts:
        read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize(
    "document",
    ["README.md", *(f"docs/{name}.md" for name in THOROUGH)],
)
def test_files_named_in_a_document_exist(document: str):
    text = re.sub(r"```.*?```", "", text_of(document), flags=re.S)
    named = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|json|txt|toml)))`", text)
    folder = (ROOT / document).parent
    missing = [
        name
        for name in named
        if "/" in name or name.endswith((".py", ".md", ".toml"))
        if not name.startswith(MADE) and not any(part in Path(name).stem for part in OWN)
        if not (ROOT / name).exists() and not (folder / name).exists()
    ]
    assert missing == []


def headings_of(page: Path) -> list[str]:
    """The names that GitHub and the site give a page's headings."""
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_a_file_and_a_heading(document: str):
    page = ROOT / document
    text = re.sub(r"^(`{3,}).*?^\1", "", text_of(document), flags=re.M | re.S)
    for target, _, heading in (
        link.partition("#") for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", text)
    ):
        file = page.parent / target if target else page
        assert file.is_file(), target
        assert not heading or heading in headings_of(file), f"{target}#{heading}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_and_shell_of_a_document_are_valid(document: str):
    text = text_of(document)
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        compile(block, document, "exec")
    shell = "\n".join(re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.M | re.S))
    read = subprocess.run(["bash", "-n"], input=shell, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_every_page_is_in_the_site_and_in_the_index():
    pages = {
        str(file.relative_to(ROOT / "docs"))
        for file in (ROOT / "docs").rglob("*.md")
        if file.name != "index.md"
    }
    nav = set(re.findall(r": ([\w/-]+\.md)$", text_of("mkdocs.yml"), re.MULTILINE))
    assert nav - {"index.md"} == pages
    linked = re.findall(r"\]\(([^)#]+\.md)", text_of("docs/index.md") + text_of("docs/journeys.md"))
    assert pages <= set(linked)


def test_pages_of_the_site_fetch_nothing_from_elsewhere():
    assert "font: false" in text_of("mkdocs.yml")
    for document in DOCUMENTS:
        assert not re.search(
            r"!\[[^]]*\]\(https?:|<(?:img|script|link|iframe)\b", text_of(document)
        )
    for image in (ROOT / "docs" / "images").glob("*.svg"):
        text = image.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|@import|<script", text), image


def test_the_readmes_memory_and_hours_are_the_plans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    # A dataset that somebody built in the project's folder would change the figures.
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    table = text_of("README.md").partition("| model and method ")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) > 3
    for _, memory, card, hours, flags in rows:
        words = [*shlex.split(flags.strip("`")), "--conversations", "50000"]
        printed = run_command(plan.main, words, monkeypatch, capsys).out
        assert f"fits {card.partition(',')[0]}," in printed
        assert memory == f"{float(re.search(r'each device +([0-9.]+)', printed)[1]):.1f} GB"
        assert hours == f"{float(re.search(r'steps, at best ([0-9.]+) hours', printed)[1]):.1f}"


def test_the_base_projects_commands_are_documented_as_it_printed_them():
    """Its README printed these; their flags stay usable. (`python3` there is `python` here.)"""
    for part in (
        "scripts/convert_from_meta_weights.py --llama3-dir "
        "~/models/Llama3/Meta-Llama-3-8B-Instruct --output-dir ~/models/Llama3/Llama-3-8B-Instruct",
        "scripts/clean_dataset.py --source-file "
        "~/datasets/function_calling/glaive-function-calling-v2.json --save-file "
        "./datasets/cleaned-glaive-function-calling-v2.json --remove-no-fc",
        "scripts/build_dataset.py --source-file ./datasets/cleaned-glaive-function-calling-v2.json "
        "--tokenizer-file ~/models/Llama3/Llama-3-8B-Instruct/tokenizer.model --save-dir "
        "./datasets/glaive-function-calling-v2",
        "chat_completion.py --ckpt_dir ./checkpoints/finetuned_merged/ --tokenizer_path "
        "~/models/Llama3/Llama-3-8B-Instruct/tokenizer.model",
        "scripts/convert_to_meta_weights.py --config-file "
        "./checkpoints/finetuned_merged/params.json --ckpt-file "
        "./checkpoints/finetuned_merged/consolidated.pth --num-shards 1 --output-dir "
        "~/models/Llama3/FineTuned-FC-Llama-3-8B-Instruct",
    ):
        assert f"python {part}" in COMMANDS


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "scripts").glob("[!_]*.py")))
def test_help_explains_every_flag(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", [f"scripts/{script}", "--help"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    try:
        runpy.run_path(str(ROOT / "scripts" / script), run_name="__main__")
    except SystemExit as ended:
        assert not ended.code
    shown = capsys.readouterr()
    assert shown.err == ""
    flags = re.split(r"\n  (?=-)", shown.out.rstrip())[1:]
    assert flags
    for flag in flags:
        assert re.search(r"^-.*?\s{2,}\S+ .*\w", flag, re.DOTALL), flag


def test_the_readme_is_short_and_installs_early():
    text = text_of("README.md")
    assert text.count("\n") <= 155
    assert text.partition("\nmake install")[0].count("\n") < 40


def test_the_readmes_example_row_is_kept_and_built(tmp_path: Path):
    (row,) = re.findall(r"```json\n(.*?)```", text_of("README.md"), re.DOTALL)
    source, save = tmp_path / "rows.json", tmp_path / "clean.json"
    cities = ("Oslo", "Rome", "Lima", "Cairo", "Quito", "Accra")
    source.write_text("".join(row.replace("Oslo", city) for city in cities), encoding="utf-8")
    audit, _ = clean_file(source, save)
    assert (audit.kept, audit.input) == (len(cities), len(cities))
    build_dataset(save, ROOT / "demo/base", tmp_path / "built", Settings(val_ratio=0.5))
    splits = [TokenizedDataset.open(tmp_path / "built", split) for split in ("train", "validation")]
    assert sum(map(len, splits)) == len(cities)
    for split in splits:
        check_soundness(split)


def test_every_measured_figure_names_its_command():
    table = re.search(r"## Measured\n\n(.*?)\n\n", text_of("docs/benchmarks.md"), re.DOTALL)
    rows = [line for line in table[1].splitlines() if line.startswith("|")][2:]
    assert rows
    for row in rows:
        assert re.search(r"\| (?:`(?:python|make) [^`]+`|the same) \|$", row), row
