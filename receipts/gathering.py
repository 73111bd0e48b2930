"""Gather a receipt from what the commands have written already; of files, only hashes are computed.

What is not at hand is listed as absent with the command that makes it. Files that are not what
their manifest says are an error: a receipt is written of what is whole.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from data.split_files import FILES
from data.tokenized import read_description
from receipts import commands
from receipts.places import Places
from receipts.record import Data, Part, Receipt, Score
from storage.json_file import read_json_object
from storage.manifest import damaged_files, has_manifest, read_manifest, sha256_of_file
from weights.adapter import base_sha256
from weights.directory import weights_file, weights_sha256
from weights.merge import MERGE_FILE
from weights.run_directory import saved_models
from weights.tokenizer_file import tokenizer_files

# The files that a split's fingerprint is made of; data/split_files.py makes it.
_FINGERPRINTED = ("tokens", "trained", "offsets")

Found = TypeVar("Found")


class AbsentError(Exception):
    """A part of a receipt is not at hand; the text says why, and what makes it."""


def gather(places: Places, known: Mapping[str, Part] | None = None) -> Receipt:
    """Return the receipt of a checkpoint; ValueError names a file that is damaged or foreign.

    The files of a part that is in `known` were hashed already and are not read again.
    """
    return _Gathering(places, known or {}).receipt()


class _Gathering:
    """Collects the parts that are at hand and the reasons why others are not."""

    def __init__(self, places: Places, known: Mapping[str, Part]) -> None:
        self.places = places
        self.known = known
        self.settings, self.progress = places.settings, places.progress
        self.files: dict[str, Part] = {}
        self.absent: dict[str, str] = {}

    def receipt(self) -> Receipt:
        checkpoint = self.places.checkpoint
        trained_by = commands.training_command(self.places)
        self.files["checkpoint"] = self._part("checkpoint", checkpoint, trained_by)
        self._take("base", self._base)
        data = self._take("dataset", self._data)
        merge = self._take("merged", self._merge)
        scores = self._take("results", self._scores)
        made_with = self.progress.get("made_with", [])
        if not made_with:
            self.absent["made_with"] = (
                "the run is older than this record; its code and packages are not known"
            )
        return Receipt(
            name=str(self.settings.get("name")),
            step=int(self.progress["step"]),
            seed=int(self.settings["seed"]),
            base_sha256=base_sha256(checkpoint),
            settings=self.settings,
            data=data,
            made_with=made_with,
            merge=merge,
            scores=scores or [],
            files=self.files,
            absent=self.absent,
        )

    def _take(self, name: str, find: Callable[[], Found]) -> Found | None:
        """Return what `find` finds; None, and a reason among the absent, where it is not there."""
        try:
            return find()
        except AbsentError as reason:
            self.absent[name] = str(reason)
            return None

    def _base(self) -> None:
        base, command = self.places.base, commands.base_command(self.places.base)
        wanted = base_sha256(self.places.checkpoint)
        if not base.is_dir():
            raise AbsentError(f"{base} does not exist; name it with --base-dir, or: {command}")
        part = self._part("base", base, command)
        found = weights_sha256(base) or part.files.get(weights_file(base).name)
        if wanted and found != wanted:
            raise AbsentError(
                f"{base} holds weights with sha256 {str(found)[:12]}, and the run was trained on "
                f"{wanted[:12]}; name those with --base-dir"
            )
        self.files["base"] = part

    def _data(self) -> Data:
        dataset = self.places.dataset
        if not dataset.is_dir():
            raise AbsentError(f"{dataset} does not exist; name it with --dataset-dir")
        description = read_description(dataset)
        command = commands.dataset_command(self.places, description)
        part = self._part("dataset", dataset, command)
        found = [_fingerprint(split, part.files) for split in ("train", "validation")]
        if found != self.progress.get("data"):
            raise AbsentError(
                f"{dataset} was built anew since: its fingerprints are not those that the run was "
                "trained on; name that dataset with --dataset-dir"
            )
        self.files["dataset"] = part
        splits = {
            split: {**counts, "trained_share": counts["trained_tokens"] / counts["tokens"]}
            for split, counts in description["splits"].items()
        }
        return Data(
            chat_format=description["chat_format"],
            tokenizer_sha256=description["tokenizer_sha256"],
            splits=splits,
            sources=description.get("provenance", {}).get("files", []),
        )

    def _merge(self) -> dict[str, Any]:
        merged, command = self.places.merged, commands.merge_command(self.places)
        if not self.places.is_adapter:
            raise AbsentError("whole weights were trained, so there is nothing to merge")
        if not (merged / MERGE_FILE).is_file():
            raise AbsentError(f"{merged} holds no merge; name it with --merged-dir, or: {command}")
        record = read_json_object(merged / MERGE_FILE, as_it_is=True)
        (trained,) = saved_models(self.places.checkpoint)
        if record.get("adapter_sha256") != trained.sha256():
            raise AbsentError(
                f"{merged} was merged from another adapter than {trained.file}; name the right "
                f"one with --merged-dir, or: {command}"
            )
        self.files["merged"] = self._part("merged", merged, command)
        return record

    def _scores(self) -> list[Score]:
        if not self.places.results:
            command = commands.missing_scores_command(self.places)
            raise AbsentError(f"none named; score with: {command}, and name it with --results-file")
        read = {file: _read_results(file) for file in self.places.results}
        for file, results in read.items():
            self._check_subject(file, results["summary"]["about"])
            command = commands.scoring_command(results["summary"]["about"])
            name = f"results {len(self.files)}" if "results" in self.files else "results"
            self.files[name] = Part(
                directory=str(file.parent),
                files={file.name: sha256_of_file(file)},
                made_by=command,
            )
        return [_score(file, results) for file, results in read.items()]

    def _check_subject(self, file: Path, about: dict[str, Any]) -> None:
        """Raise ValueError where results are of another model; they know it by its path alone."""
        scored = about.get("lora_ckpt_path") or about.get("ckpt_dir")
        if scored is None:
            raise ValueError(f"{file} scored an endpoint or recorded outputs, wanted --ckpt-dir")
        path = Path(scored).expanduser().resolve()
        directory = path if path.is_dir() else path.parent
        if directory not in (self.places.checkpoint.resolve(), self.places.merged.resolve()):
            raise ValueError(
                f"{file} scored {scored}, and this receipt is of {self.places.checkpoint}; name "
                "results of it, or of its merged weights"
            )

    def _part(self, name: str, directory: Path, made_by: str) -> Part:
        return self.known.get(name) or _hashed(directory, made_by)


def _hashed(directory: Path, made_by: str) -> Part:
    """Return the hashes of a directory's files, read whole; ValueError names one that is damaged.

    Of a directory without a manifest, they are of its weights, sizes and tokenizer.
    """
    if has_manifest(directory):
        if problems := damaged_files(directory):
            raise ValueError(f"{directory / problems[0]}; make it again: {made_by}")
        found = {name: file["sha256"] for name, file in read_manifest(directory)["files"].items()}
    else:
        found = {file.name: sha256_of_file(file) for file in _bare_files(directory)}
    return Part(directory=str(directory), files=found, made_by=made_by)


def _bare_files(directory: Path) -> Iterator[Path]:
    yield weights_file(directory)
    yield from filter(Path.is_file, [directory / "params.json"])
    yield from tokenizer_files(directory)


def _fingerprint(split: str, sha256s: Mapping[str, str]) -> str | None:
    """Return the fingerprint of a split by the hashes of its files; None where one is not known."""
    found = [sha256s.get(f"{split}.{FILES[part]}") for part in _FINGERPRINTED]
    if None in found:
        return None
    return hashlib.sha256(b"".join(bytes.fromhex(str(sha256)) for sha256 in found)).hexdigest()


def _read_results(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; wanted an --output-file of evaluate.py")
    results = read_json_object(file, as_it_is=True)
    summary = results.get("summary")
    if not isinstance(summary, dict) or not {"about", "figures", "items"} <= set(summary):
        raise ValueError(f"{file} has no summary; wanted an --output-file of scripts/evaluate.py")
    return results


def _score(file: Path, results: dict[str, Any]) -> Score:
    summary = results["summary"]
    return Score(
        file=file.name,
        items=summary["items"],
        answered=summary["answered"],
        figures=summary["figures"],
        plain_text=results.get("plain_text"),
    )
