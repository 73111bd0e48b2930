"""Fuzz every reader, guided by coverage: the time is shared among the targets, one after another.

    PYTHONPATH=.:tests python -m attacks.fuzz --seconds 3600
    PYTHONPATH=.:tests python -m attacks.fuzz --seconds 60 --target replies
    PYTHONPATH=.:tests python -m attacks.fuzz --shrink

Atheris makes the inputs (pip install -r requirements-fuzz.txt). It begins with `corpus/`, keeps in
`--work-dir` what reaches new code, and with `--shrink` the shortest of these join the corpus.
Ends with 1 where a reader raised what it may not, or took over a second for less than 100 kB.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from attacks.fuzz_targets import ROOT, TARGETS

CORPUS = Path(__file__).parent / "corpus"
LONGEST, MOST_SECONDS = 100_000, 1.0
# For one target, in bytes of its file.
MOST_KEPT = 4000


@dataclass(frozen=True)
class Finding:
    """An input on which a reader did what it may not: what, and where in the project."""

    target: str
    what: str
    place: str
    input: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes two findings the same: the place, and the kind of error."""
        return self.place, self.what.partition(":")[0] if self.place else "slow"


def judge(target: str, data: bytes) -> Finding | None:
    """Read an input, and return what was wrong with that: an exception, or the time it took.

    What is slow is timed again: the first reading of a process also imports.
    """
    seconds = 0.0
    for _ in range(2):
        begin = time.process_time()
        finding = read_once(target, data)
        seconds = time.process_time() - begin
        if finding or seconds <= MOST_SECONDS:
            break
    if finding is None and seconds > MOST_SECONDS and len(data) <= LONGEST:
        return Finding(target, f"took {seconds:.1f} s for {len(data)} bytes", "", "")
    return finding


def read_once(target: str, data: bytes) -> Finding | None:
    """Read an input, and return which exception it raised that its target does not refuse with."""
    try:
        TARGETS[target].read(data)
    except TARGETS[target].refusals:
        pass
    except Exception as error:
        return Finding(target, _one_line(error), _place(error), "")
    return None


def read_corpus(target: str) -> list[bytes]:
    """Return the committed inputs of a target, which lie in one file as text in Latin-1."""
    file = CORPUS / f"{target}.json"
    if not file.is_file():
        return []
    return [text.encode("latin-1") for text in json.loads(file.read_text(encoding="utf-8"))]


def write_corpus(target: str, inputs: Iterable[bytes]) -> None:
    """Write the first inputs that fit of a target's, which were sorted by their worth."""
    kept: list[str] = []
    for data in dict.fromkeys(inputs):
        longer = [*kept, data.decode("latin-1")]
        if len(json.dumps(longer, indent=0)) <= MOST_KEPT:
            kept = longer
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.json").write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


def main() -> None:
    """Share the time among the targets, try the findings again, and print them."""
    flags = read_flags()
    targets = [flags.target] if flags.target else list(TARGETS)
    if flags.shrink:
        for target in targets:
            shrink(target, flags.work_dir)
        return
    found = []
    for number, target in enumerate(targets, 1):
        new = fuzz(target, max(1, flags.seconds // len(targets)), flags.work_dir)
        print(f"{number} of {len(targets)}: {target}: {len(new)} findings", flush=True)
        found += new
    for finding in found:
        print(f"{finding.target}: {finding.what}\n    {finding.place}\n    {finding.input}")
    record = json.dumps([asdict(finding) for finding in found], indent=1)
    (flags.work_dir / "findings.json").write_text(record + "\n", encoding="utf-8")
    print(f"{len(found)} findings in {len(targets)} targets: {flags.work_dir}/findings.json")
    sys.exit(bool(found))


def read_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m attacks.fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=int, default=60, help="For all targets together.")
    parser.add_argument("--target", choices=list(TARGETS), help="Only this one.")
    parser.add_argument("--shrink", action="store_true", help="Make the corpus of what was kept.")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/fuzz"), help="What is kept.")
    return parser.parse_args()


def fuzz(target: str, seconds: int, work: Path) -> list[Finding]:
    """Fuzz one target in a process of its own; return what is wrong also without the fuzzer."""
    kept, findings = work / target / "kept", work / target / "findings"
    for folder in (kept, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for data in read_corpus(target):
        (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    command = [sys.executable, "-m", "attacks.fuzz_inside", target, str(seconds)]
    command += [str(kept.resolve()), str(findings.resolve())]
    with (work / target / "log").open("w") as log:
        ended = subprocess.run(command, stdout=log, stderr=log, cwd=ROOT)
    found = {}
    for file in sorted(findings.iterdir()):
        finding = judge(target, file.read_bytes())
        if finding is not None:
            shown = Finding(target, finding.what, finding.place, str(file))
            found.setdefault(finding.key, shown)
        elif not file.name.startswith(("crash-", "timeout-", "oom-")):
            # Instrumented code is slower than what users run.
            file.unlink()
    if ended.returncode != 0 and not found:
        what = f"the fuzzer ended with {ended.returncode}"
        found["fuzzer", what] = Finding(target, what, "", str(work / target / "log"))
    return list(found.values())


def shrink(target: str, work: Path) -> None:
    """Add the shortest of what was kept to the corpus of a target."""
    kept = work / target / "kept"
    inputs = [file.read_bytes() for file in kept.iterdir()] if kept.is_dir() else []
    write_corpus(
        target, [*read_corpus(target), *sorted(inputs, key=lambda data: (len(data), data))]
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return ascii(f"{type(error).__name__}: {text}")[1:-1]


def _place(error: Exception) -> str:
    """Return the last line of the project's own that an error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(ROOT))]
    own = [frame for frame in own if "/.venv/" not in frame.filename]
    last = own[-1] if own else frames[-1]
    return f"{last.filename.removeprefix(f'{ROOT}/')}:{last.lineno} in {last.name}"


if __name__ == "__main__":
    main()
