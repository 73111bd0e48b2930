"""Score the base and every checkpoint of a run on the same items, and store their answers.

The answers of each model are stored in a file of its own. They are used again while weights, items
and settings are the same, and are judged again each time.
"""

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.formats.format import ChatFormat
from evaluation.answers.kept import inputs_of, kept_answers, read_results
from evaluation.answers.model import model_answers
from evaluation.items import Item
from evaluation.judging import Outputs, judge_all
from evaluation.results import Results
from inference.chat_choice import choose_format
from inference.chat_model import Answer, ChatModel, SkippedItem
from inference.generate import Decoding
from inference.loading import Source, load_chat_model
from inference.packed import round_adapter
from inference.storage import NOT_QUANTIZED, choose_storage
from model.config import ModelConfig
from model.lora.config import LoraConfig
from weights.adapter import base_directory, base_quantization, detach_adapter, read_adapter
from weights.chat_record import ChatRecord, proposed_format, read_chat_record
from weights.directory import hash_weights, resolve_directory, weights_file
from weights.run_directory import SavedModel, saved_models

BASE = "base"


@dataclass(frozen=True)
class Setting:
    """The settings that all models of a run share; the stop tokens are the chat format's."""

    decoding: Decoding
    chat_format: str = "llama3"
    tokenizer_path: str | None = None
    constrain: bool = False


@dataclass(frozen=True)
class Candidate:
    """A model to be scored: the base (without `saved`) or a checkpoint.

    also: Other names in the run's directory that have the same weights.
    weights: Hashes and settings that identify its weights.
    """

    name: str
    saved: SavedModel | None
    weights: Mapping[str, Any]
    also: tuple[str, ...] = ()

    @property
    def step(self) -> int | None:
        """The step it was saved at; 0 for the base."""
        return 0 if self.saved is None else self.saved.step

    @property
    def title(self) -> str:
        """All its names, and the step where no name holds it."""
        title = " = ".join((self.name, *self.also))
        told = self.saved is None or self.step is None or "step-" in title
        return title if told else f"{title} (step {self.step})"


@dataclass(frozen=True)
class Scored:
    """A model and its results."""

    candidate: Candidate
    results: Results


@dataclass(frozen=True)
class Run:
    """The base and the checkpoints of a run; `unread` says why others cannot be scored.

    `chat_records` are the records of the chat format in all checkpoints. `quantization` is how the
    linear layers of all models are stored, None as they are in the files.
    """

    name: str
    base: Path
    candidates: Sequence[Candidate]
    unread: dict[str, str]
    chat_records: Sequence[ChatRecord | None]
    quantization: str | None = None

    def format(self, given: str | None = None, anyway: bool = False) -> ChatFormat:
        """Return the chat format of the checkpoints, which is used for the base as well."""
        return choose_format(given, anyway, self.chat_records, proposed_format(self.base))

    @staticmethod
    def open(
        checkpoint_dir: Path | str,
        base: Path | str | None = None,
        quantization: str | None = None,
    ) -> "Run":
        """Find a run's models; `base` and `quantization` replace what its checkpoints say."""
        saved = saved_models(checkpoint_dir)
        directory = _base(saved, base)
        known: dict[str, Candidate] = {}
        unread: dict[str, str] = {}
        records: list[ChatRecord | None] = []
        trained: dict[str, str | None] = {}
        for saved_model in saved:
            name = saved_model.directory.name
            try:
                saved_model.check_step()
                records.append(read_chat_record(saved_model.directory))
                weights = _weights(saved_model)
                if saved_model.is_adapter:
                    trained[name] = base_quantization(saved_model.directory)
            except (ValueError, OSError) as error:
                unread[name] = str(error)
                continue
            key = json.dumps(weights, sort_keys=True)
            if key in known:
                first = known[key]
                known[key] = Candidate(first.name, first.saved, weights, (*first.also, name))
            else:
                known[key] = Candidate(name, saved_model, weights)
        file = weights_file(directory)
        origin = {"base": hash_weights(file)}
        return Run(
            Path(checkpoint_dir).name,
            directory,
            [Candidate(BASE, None, origin), *known.values()],
            unread,
            records,
            choose_storage(quantization, directory, trained),
        )


def score_run(
    run: Run, items: Sequence[Item], setting: Setting, folder: Path, tell: Callable[[str], None]
) -> Iterator[Scored]:
    """Yield every model's results as they are finished; those kept in `folder` are used again.

    Checkpoints that turn out to be damaged, or of another base, go to `run.unread`.
    """
    models = _Models(run, setting, tell)
    common = _common(run, items, setting)
    for candidate in run.candidates:
        file = folder / f"{candidate.name}.json"
        inputs = {**common, **candidate.weights}
        answers: Iterator[tuple[int, Answer | SkippedItem]]
        kept = kept_answers(read_results(file), inputs, items, setting.chat_format)
        if kept is not None:
            tell(f"{candidate.title}: {len(kept):,} answers are in {file} already")
            answers = iter(kept)
        else:
            try:
                # Not bound to a name, so that this model is freed before the next one is loaded.
                answers = model_answers(
                    models.load(candidate), items, setting.decoding, setting.constrain, tell
                )
            except (ValueError, OSError) as error:
                if candidate.saved is None:
                    raise
                run.unread[candidate.name] = str(error)
                continue
        about = {
            "model": candidate.title,
            "directory": str(_place(run, candidate)),
            "inputs": inputs,
        }
        results = judge_all(items, answers, about, Outputs(file, title=candidate.title))
        yield Scored(candidate, results)


def _place(run: Run, candidate: Candidate) -> Path:
    return run.base if candidate.saved is None else candidate.saved.directory


def _base(saved: Sequence[SavedModel], named: Path | str | None) -> Path:
    """Return the directory of the base; ValueError for a checkpoint that is named as it."""
    if any(saved_model.directory.name == BASE for saved_model in saved):
        raise ValueError(f"a checkpoint is named {BASE!r}, as the base is in the table; rename it")
    if named is not None:
        return resolve_directory(named)
    for saved_model in saved:
        if found := base_directory(saved_model.directory):
            if not Path(found).expanduser().is_dir():
                raise FileNotFoundError(
                    f"{saved_model.directory} was trained on {found}, which is not there; name the "
                    "base with --base-model-name"
                )
            return resolve_directory(found)
    raise FileNotFoundError(
        f"{saved[0].directory} does not say what it was trained on; name the base with "
        "--base-model-name"
    )


def _weights(saved: SavedModel) -> dict[str, Any]:
    if not saved.is_adapter:
        return {"weights": saved.sha256()}
    return {"adapter": saved.sha256(), "lora": LoraConfig.read(saved.directory).record()}


def _common(run: Run, items: Sequence[Item], setting: Setting) -> dict[str, Any]:
    """Return the inputs that affect the answers of all models of a run."""
    tokenizer = setting.tokenizer_path or run.base
    shared = inputs_of(
        items,
        setting.decoding,
        setting.chat_format,
        tokenizer,
        setting.constrain,
        run.quantization,
    )
    return shared | {"base": run.candidates[0].weights["base"]}


class _Models:
    """The models of a run one after the other; the base is loaded once for all its adapters."""

    def __init__(self, run: Run, setting: Setting, tell: Callable[[str], None]) -> None:
        self.run, self.setting, self.tell = run, setting, tell
        self.chat_model: ChatModel | None = None
        self.directory: Path | None = None

    def load(self, candidate: Candidate) -> ChatModel:
        """Return the chat model of a candidate; it is valid until the next call.

        ValueError where its weights have changed since the run was opened.
        """
        chat_model = self._loaded(candidate)
        # A run in progress replaces `best`; its answers would be stored under the old weights.
        if candidate.saved is not None and _weights(candidate.saved) != candidate.weights:
            raise ValueError(
                f"{candidate.saved.directory} has been replaced meanwhile; run the command again"
            )
        return chat_model

    def _loaded(self, candidate: Candidate) -> ChatModel:
        if candidate.saved is None or not candidate.saved.is_adapter:
            return self._whole(_place(self.run, candidate))
        adapter = read_adapter(candidate.saved.directory)
        adapter.check(ModelConfig.read(self.run.base), self.run.base)
        chat_model = self._whole(self.run.base)
        adapter.attach(chat_model.model)
        round_adapter(chat_model.model)
        return chat_model

    def _whole(self, directory: Path) -> ChatModel:
        if self.chat_model is not None and self.directory == directory:
            detach_adapter(self.chat_model.model)
            return self.chat_model
        # Memory may not hold two whole models.
        self.chat_model = None
        gc.collect()
        tokenizer = self.setting.tokenizer_path or str(self.run.base)
        storage = self.run.quantization or NOT_QUANTIZED
        source = Source(str(directory), None, tokenizer, self.setting.chat_format, True, storage)
        self.chat_model, self.directory = load_chat_model(source, self.tell), directory
        return self.chat_model
