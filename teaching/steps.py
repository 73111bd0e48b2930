"""The steps of scripts/teach.py, each a command of this project."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from console import outcomes
from console.command import shell_quote
from console.journey import Stage
from console.stages import finetune, merge, plan
from data.cleaning.any_layout import read_any_layout
from data.tokenized import TokenizedDataset
from evaluation.behaviours import behaviours_line, figures_by_behaviour
from evaluation.failures import count_failures, failures_line
from evaluation.figures import percent
from inference.chat_choice import check_format
from synthesis.custom import DOMAIN
from teaching.request import GGUF, MODELS, NAME, Request, adapter_dir, scores_file
from teaching.rounds import shares_for
from teaching.scores import own_figures
from teaching.tools import possible_shares, quota_flags, scored_quotas

CONFIG = "configs/teach.json"
# Settings of the training that the steps give; a user's own would lead them astray.
GIVEN_SETTINGS = (
    *("model.checkpoint_dir", "model.adapter_dir", "data.dataset_dir"),
    *("checkpoint.output_dir", "logging.output_dir"),
)


def count_steps(request: Request) -> int:
    """Return how many steps there are; those of a round do not depend on what the others find."""
    flags = request.flags
    rounds = 4 * (flags.rounds - 1) + (2 if flags.rounds > 1 else 0)
    converted = len(list(_native(request)[1]))
    data = 1 if flags.data else 0
    # Files of training, scored, held-out and other conversations; dataset, plan, training,
    # merge and export; three models on each part.
    prompts = 2 + bool(request.teachable.held_out) + bool(request.general_count)
    return converted + data + prompts + 5 + 3 * len(request.parts) + rounds


def steps(request: Request) -> Iterator[Stage]:
    """Yield the steps in order; a later round's are known when the round before it is scored.

    ValueError before anything is generated where the base cannot be spoken to in its chat format.
    """
    base, converted = _native(request)
    yield from converted
    native = request.directory / "base" if converted else Path(request.flags.model_dir)
    check_format(native, request.flags.chat_format)
    yield from _prompts(request)
    yield _generated(request, "round-1", "", request.flags.count, trained=True)
    if request.general_count:
        yield _general(request)
    if request.flags.data:
        yield _cleaned(request)
    yield _built(request, base, 1)
    request = as_scored(request)
    yield from (_scored(request, "base", part, base) for part in request.parts)
    yield plan(
        CONFIG,
        base,
        request.path("dataset-1"),
        request.typed(request.directory),
        request.flags.settings,
    )
    yield _finetuned(request, 1)
    if request.flags.rounds > 1:
        yield _scored(request, "round-1", "practice", base)
    for round in range(2, request.flags.rounds + 1):
        failures = scores_file(f"round-{round - 1}", "practice")
        shares = shares_for(
            request.directory / failures, possible_shares(request.teachable, request.mixture)
        )
        quotas = quota_flags(shares)
        yield _generated(request, f"round-{round}", quotas, request.flags.count, trained=True)
        yield _built(request, base, round)
        yield _finetuned(request, round)
        yield _scored(request, f"round-{round}", "practice", base)
    adapter, merged = request.path(adapter_dir(request.flags.rounds)), request.path("merged")
    yield merge(base, adapter, merged)
    for model in ("tuned", "constrained"):
        yield from (_scored(request, model, part, merged) for part in request.parts)
    yield _exported(request)


def as_scored(request: Request) -> Request:
    """Return the request once its dataset is built, which may have kept no row of `data` apart."""
    if not request.flags.data:
        return request
    held_out = TokenizedDataset.open(request.directory / "dataset-1", "validation").origins()
    kept = {origin.sha256 for origin in held_out}
    own = (conversation.sha256 for conversation in read_any_layout(request.directory / "own.jsonl"))
    return replace(request, own_scored=any(sha256 in kept for sha256 in own))


def _native(request: Request) -> tuple[str, Sequence[Stage]]:
    """Return the native directory of the base, and the stage that makes it where it is not one."""
    given, native = Path(request.flags.model_dir), request.path("base")
    typed = request.typed(request.flags.model_dir)
    if given.suffix == GGUF:
        command = f"scripts/convert_from_gguf.py --gguf-file {typed}"
    elif (given / "consolidated.00.pth").is_file():
        command = f"scripts/convert_from_meta_weights.py --llama3-dir {typed}"
    elif (given / "config.json").is_file() and not (given / "params.json").is_file():
        command = f"scripts/convert_from_hf_weights.py --hf-dir {typed}"
    else:
        return typed, ()
    stage = Stage(
        "the base to a native directory",
        f"{command} --output-dir {native}",
        lambda root: f"{outcomes.size(root / 'base')}, every bit compared",
    )
    return native, (stage,)


def _prompts(request: Request) -> Iterator[Stage]:
    """Yield the prompts that are scored: on taught tools, held-out ones, and for the rounds."""
    parts = [part for part in request.parts if part != "own"]
    for part in parts + ["practice"] * (request.flags.rounds > 1):
        quotas = scored_quotas(request.teachable, part == "held_out")
        flags = " ".join(f"--quota.{name}={share:g}" for name, share in quotas.items())
        yield _generated(request, part, flags, request.flags.scored)


# Seeds of the files: each draws other conversations.
_SEEDS = {"taught": 101, "held_out": 102, "practice": 103, "general": 104}


def _generated(
    request: Request, name: str, quotas: str, count: int, trained: bool = False
) -> Stage:
    teachable, file = request.teachable, f"{name}.jsonl"
    tools = teachable.held_out if name == "held_out" else teachable.taught
    only = f" --only-tools {','.join(tools)}" if teachable.held_out else ""
    seed = request.flags.seed + _SEEDS.get(name, int(name.rpartition("-")[2]) if trained else 0)
    values = request.values[0 if trained else 1]
    titles = {"taught": "prompts to score", "held_out": "prompts of held-out tools"}
    titles |= {"practice": "prompts to learn from"}
    title = titles.get(name, f"conversations for {name.replace('-', ' ')}")
    return Stage(
        f"generate {title}",
        f"scripts/generate_dataset.py --tools-file {request.typed(teachable.file)} --domains "
        f"{DOMAIN}{only} --values {values} {_mixture(request)} --seed {seed} "
        f"--count {count} {quotas}{' ' if quotas else ''}--save-file {request.path(file)}",
        lambda root: outcomes.lines(root / file),
    )


def _general(request: Request) -> Stage:
    """Return the stage that generates with built-in tools: reading any tool is learnt on many."""
    return Stage(
        "generate conversations with other tools",
        f"scripts/generate_dataset.py {_mixture(request)} --seed "
        f"{request.flags.seed + _SEEDS['general']} --count {request.general_count} --save-file "
        f"{request.path('general.jsonl')}",
        lambda root: outcomes.lines(root / "general.jsonl"),
    )


def _mixture(request: Request) -> str:
    most_tools = request.flags.most_tools
    more = f" --most-tools {most_tools}" if most_tools else ""
    return f"--mixture {request.flags.mixture}{more}"


def _cleaned(request: Request) -> Stage:
    flags = request.flags
    return Stage(
        "clean your conversations",
        f"scripts/clean_dataset.py --source-file {request.typed(flags.data or '')} --format "
        f"{flags.format or 'auto'} --save-file {request.path('own.jsonl')}",
        lambda root: outcomes.cleaned(root / "own.report.json"),
    )


def _built(request: Request, base: str, round: int) -> Stage:
    names = [f"round-{round}.jsonl"] + ["general.jsonl"] * bool(request.general_count)
    names += ["own.jsonl"] * bool(request.flags.data)
    files = ",".join(request.from_root(request.directory / name) for name in names)
    dataset = f"dataset-{round}"
    return Stage(
        "tokens and training mask",
        f"scripts/build_dataset.py --source-file {shell_quote(files)} --tokenizer-file {base} "
        f"--save-dir {request.path(dataset)} --val-ratio 0.1 --skip-overlong"
        f"{_format(request)}",
        lambda root: outcomes.built(root / dataset),
    )


def _format(request: Request) -> str:
    """Return the flag for commands that meet the base or build for it; others know the format."""
    given = request.flags.chat_format
    return f" --chat-format {shell_quote(given)}" if given else ""


def _scored(request: Request, model: str, part: str, directory: str) -> Stage:
    file = scores_file(model, part)
    more = {"base": _format(request), "constrained": " --constrain"}.get(model, "")
    if part == "practice":
        more = f" --lora-ckpt-path {request.path(adapter_dir(int(model.rpartition('-')[2])))}"
    prompts = f"--dataset-file {request.path(f'{part}.jsonl')}"
    if request.flags.text_file and part == "taught" and model != "constrained":
        prompts += f" --text-file {request.typed(request.flags.text_file)}"
    if part == "own":
        prompts += f" --held-out-of {request.path('dataset-1')}"
    title = f"{model.replace('-', ' ')} on prompts to learn from"
    if model in MODELS:
        what = {"taught": "taught tools", "held_out": "held-out tools", "own": "your conversations"}
        title = f"the {MODELS[model]} model on {what[part]}"
    return Stage(
        f"score {title}",
        f"scripts/evaluate.py --ckpt-dir {directory}{more} {prompts} --max-new-tokens "
        f"{request.flags.max_new_tokens} --batch-size {request.flags.batch_size} --output-file "
        f"{request.path(file)} --report-file {request.path(file.replace('.json', '.html'))}",
        lambda root: _score_line(root / file, part),
    )


def _score_line(file: Path, part: str) -> str:
    if part == "own":
        return ", ".join(
            f"{name} {percent(found.value)}" for name, found in own_figures(file).items()
        )
    line = behaviours_line(figures_by_behaviour(file))
    return f"{line}; {failures_line(count_failures(file))}" if part == "practice" else line


def _finetuned(request: Request, round: int) -> Stage:
    """Return the stage that trains an adapter, from the second round on the one before further."""
    title = f"fine-tune{f', round {round}' if request.flags.rounds > 1 else ''}"
    given: dict[str, str] = {}
    if round > 1:
        given["data.dataset_dir"] = request.path(f"dataset-{round}")
        given["model.adapter_dir"] = request.path(adapter_dir(round - 1))
    return finetune(title, f"{NAME}-{round}", request.typed(request.directory), given)


def _exported(request: Request) -> Stage:
    return Stage(
        "export for servers",
        f"scripts/convert_to_hf_weights.py --ckpt-dir {request.path('merged')} "
        f"--output-dir {request.path('exported')}",
        lambda root: f"{outcomes.size(root / 'exported')}, see exported/serve.md",
    )
