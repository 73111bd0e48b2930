"""Write what made a tuned model into one file, or check such a file.

python scripts/receipt.py --run-dir D --results-file results.json
python scripts/receipt.py --run-dir D --verify
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.table import Table

from console.command import print_next, run, shell_quote
from console.flags import listed
from console.output import Console
from receipts.checking import Finding, check
from receipts.gathering import gather
from receipts.places import Places, find_places
from receipts.record import RECEIPT_FILE, Receipt, Score, read_receipt, write_receipt
from storage.manifest import sha256_of_file


def main(
    run_dir: str,
    base_dir: str | None = None,
    dataset_dir: str | None = None,
    merged_dir: str | None = None,
    results_file: str | None = None,
    receipt_file: str | None = None,
    verify: bool = False,
) -> None:
    """Write the receipt of a run, or check it against the files at hand with --verify.

    All files are read whole for their hashes. With --verify the exit code is 0 where all of them
    are those of the receipt, and 1 where one differs or is missing.

    Args:
        run_dir: The run's directory, of which best/ is taken, or else final/; or one checkpoint.
        base_dir: The base it was trained on, where it is not where the run's settings say.
        dataset_dir: The dataset likewise.
        merged_dir: The merged weights; by default the directory merged beside the checkpoint.
        results_file: What scripts/evaluate.py wrote of the checkpoint or its merged weights to
            --output-file; several with commas between.
        receipt_file: Where the receipt is; by default receipt.json beside the checkpoint.
        verify: Check the receipt rather than write it.
    """
    places = find_places(run_dir, base_dir, dataset_dir, merged_dir, tuple(listed(results_file)))
    file = Path(receipt_file) if receipt_file else places.checkpoint.parent / RECEIPT_FILE
    if verify:
        _verify(file, places, named_results=bool(results_file))
    else:
        receipt = gather(places)
        write_receipt(file, receipt)
        _show(receipt)
        print(f"\n{file}: sha256 {sha256_of_file(file)}")
        print_next(f"python scripts/receipt.py --run-dir {shell_quote(run_dir)} --verify")


def _show(receipt: Receipt) -> None:
    table = Table(title=f"{receipt.name}, step {receipt.step}", show_header=False)
    for name, text in _rows(receipt):
        table.add_row(name, text)
    Console().print(table)


def _rows(receipt: Receipt) -> Iterator[tuple[str, str]]:
    yield from (
        (name, f"{part.directory}: {len(part.files)} files with their sha256")
        for name, part in receipt.files.items()
    )
    if receipt.data:
        for split, counts in receipt.data.splits.items():
            share = f"{counts['trained_share']:.1%} of {counts['tokens']:,} tokens trained"
            yield split, f"{counts['conversations']:,} conversations, {share}"
    yield "seed", str(receipt.seed)
    for made in receipt.made_with:
        commit = str(made["code"]["commit"])[:12]
        changed = ", with changes" if made["code"]["changed"] else ""
        code = f"sources {made['code']['sha256'][:12]}, commit {commit}{changed}"
        torch = made["environment"]["packages"]["torch"]
        devices = f"{made['devices']['ranks']} x {made['devices']['name']}"
        yield f"from step {made['from_step']}", f"{code}; torch {torch}; {devices}"
    if receipt.merge:
        proof = receipt.merge["proof"]
        yield "merge", f"{proof['merged_weights']} weights proven to be base + adapter"
    yield from ((score.file, _scored(score)) for score in receipt.scores)
    yield from ((f"no {name}", reason) for name, reason in receipt.absent.items())


def _scored(score: Score) -> str:
    for name in ("balanced", "correct"):
        if figure := score.figures.get(name):
            interval = f"{figure['low']:.1%} to {figure['high']:.1%}"
            return f"{name} {figure['value']:.1%} ({interval}) of {score.items:,} items"
    return f"{score.items:,} items"


def _verify(file: Path, places: Places, named_results: bool) -> None:
    receipt = read_receipt(file)
    if not named_results:
        results = (part for name, part in receipt.files.items() if name.startswith("results"))
        found = tuple(Path(part.directory) / next(iter(part.files)) for part in results)
        places = Places(places.checkpoint, places.base, places.dataset, places.merged, found)
    findings = _printed(check(receipt, places))
    if wrong := [finding for finding in findings if finding.is_wrong]:
        print("\nWhat makes them right:")
        for todo in dict.fromkeys(finding.todo for finding in wrong):
            print(f"  {todo}")
        sys.exit(1)
    print(f"\nAll files are those of {file}.")


def _printed(findings: Iterable[Finding]) -> list[Finding]:
    shown = list(findings)
    for finding in shown:
        todo = f": {finding.todo}" if finding.todo and not finding.is_wrong else ""
        print(f"  {finding.state:<8} {finding.part:<12} {finding.detail}{todo}")
    return shown


if __name__ == "__main__":
    run(main)
