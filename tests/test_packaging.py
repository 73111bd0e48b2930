"""What goes around the code: versions, the workflow, the hooks, the image, the forms."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = ".github/workflows/check.yml"
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.md"))
# Files that other programs read; none of them names a registry, the image's options do.
FILES = [WORKFLOW, ".pre-commit-config.yaml", "Dockerfile", "requirements.txt", "pyproject.toml"]
INSTRUCTIONS = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def make_recipe(target: str) -> list[str]:
    """Return the commands of a target, as make would run them."""
    rule = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text_of("Makefile"), re.MULTILINE)
    assert rule, target
    return [line.strip().replace("$(VENV)", ".venv/bin") for line in rule[1].splitlines()]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with what follows each, lines joined."""
    lines = [line for line in text_of("Dockerfile").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    split = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in split]


def test_the_version_is_the_newest_of_the_changelog() -> None:
    newest = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest and newest[1] == PROJECT["version"]


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_a_registry(name: str) -> None:
    assert not re.search(r"https?://|--[a-z-]*(?:index|links)", text_of(name))


def workflow() -> dict[str, Any]:
    return yaml.safe_load(text_of(WORKFLOW))


def test_the_workflow_tests_every_supported_python() -> None:
    pythons = workflow()["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    assert pythons == ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize("job", ["test", "lint", "docs"])
def test_a_job_checks_out_and_runs_its_make_target(job: str) -> None:
    steps = workflow()["jobs"][job]["steps"]
    assert [step["uses"].partition("@")[0] for step in steps if "uses" in step] == [
        "actions/checkout",
        "actions/setup-python",
    ]
    (command,) = (step["run"] for step in steps if "run" in step)
    assert command == f"make {job} PYTHON=python"
    assert make_recipe(job)


def test_the_hooks_before_a_commit_are_those_of_make_lint() -> None:
    hooks = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert {repository["repo"] for repository in hooks} == {"local"}
    entries = [hook for hook in hooks[0]["hooks"] if hook.get("stages") != ["pre-push"]]
    assert [hook["entry"] for hook in entries] == make_recipe("lint")
    assert all(hook["language"] == "system" for hook in hooks[0]["hooks"])


def test_the_image_has_a_target_for_processors_and_one_for_cuda() -> None:
    found = instructions()
    assert {word for word, _ in found} == INSTRUCTIONS
    stages = [rest.split(" AS ") for word, rest in found if word == "FROM"]
    assert stages == [["python:${PYTHON}-slim", "cpu"], ["cpu", "cuda"]]
    assert [word for word, _ in found][:2] == ["ARG", "FROM"]


def test_the_image_takes_torchs_build_as_an_argument() -> None:
    arguments = [rest.partition("=")[0] for word, rest in instructions() if word == "ARG"]
    assert arguments == ["PYTHON", "TORCH_OPTIONS"]
    (install,) = (rest for word, rest in instructions() if word == "RUN" and "torch" in rest)
    assert install.index("${TORCH_OPTIONS}") < install.index("-r requirements.txt")
    # What the shell finds is one line.
    wanted = subprocess.run(
        ["bash", "-c", "grep '^torch==' requirements.txt"], cwd=ROOT, capture_output=True, text=True
    )
    assert len(wanted.stdout.splitlines()) == 1


def test_the_images_shell_is_valid_and_its_entry_is_installed() -> None:
    for word, rest in instructions():
        if word == "RUN":
            read = subprocess.run(["bash", "-n"], input=rest, capture_output=True, text=True)
            assert (read.returncode, read.stderr) == (0, "")
            assert shlex.split(rest)
        if word == "ENTRYPOINT":
            assert yaml.safe_load(rest) == ["llama-tools"]
    assert "llama-tools" in PROJECT["scripts"]


def test_the_image_leaves_out_what_git_does() -> None:
    ignored = {line.strip("/") for line in text_of(".gitignore").splitlines() if "#" not in line}
    left_out = {line.removeprefix("**/") for line in text_of(".dockerignore").splitlines()}
    assert ignored - {"data/tool_using_dataset.json", "*.partial"} <= left_out


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_issue_form_has_a_name_and_says_what_it_is_for(form: Path) -> None:
    _, head, body = form.read_text(encoding="utf-8").split("---\n", 2)
    assert {"name", "about", "labels"} == set(yaml.safe_load(head))
    assert body.count("```") % 2 == 0
    for script in re.findall(r"scripts/\w+\.py", body):
        assert (ROOT / script).is_file()


def test_there_is_a_form_for_bugs_and_one_for_data() -> None:
    assert [form.stem for form in FORMS] == ["bug", "cleaned-wrong"]


def test_deepspeed_is_wanted_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from machine.requirements import read_requirements

    names = {}
    for system in ("linux", "darwin"):
        monkeypatch.setattr("sys.platform", system)
        names[system] = {requirement.name for requirement in read_requirements()}
    assert names["linux"] - names["darwin"] == {"deepspeed"}


@pytest.mark.parametrize("where", ["ranks", "settings", "shards"])
def test_without_deepspeed_one_line_says_what_to_do(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from training.zero import ranks, settings, shards

    monkeypatch.setattr("training.zero.installed.find_spec", lambda name: None)
    use = {
        "ranks": lambda: ranks.joined_ranks("cpu").__enter__(),
        "settings": lambda: settings._check_readable({"stage": 2}),
        "shards": lambda: shards.joined_masters(Path("step-000002")),
    }[where]
    with pytest.raises(ValueError, match=r"deepspeed is not installed; on Linux: .*finetune\.py"):
        use()
