"""Attack every command, and say what became of each attack.

    PYTHONPATH=.:tests python -m attacks.chaos --kills 70 --sharded-kills 30
    PYTHONPATH=.:tests python -m attacks.chaos --only corruptions:17

Ends with 1 where a damaged file was used in silence, or a command ended with a traceback.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from attacks import corruptions, full_disks, hostile_files, kills
from attacks.arena import Arena
from attacks.children import Ended, import_once
from attacks.journey import prepare
from attacks.outcomes import Outcome, format_peak, format_table, write_results

KINDS: dict[str, Callable[[Arena, int], Outcome]] = {
    kills.SHARDED: kills.attack_sharded,
    kills.NATIVE: kills.attack_native,
    corruptions.KIND: corruptions.attack,
    hostile_files.KIND: hostile_files.attack,
    full_disks.KIND: full_disks.attack,
}
# The same kinds as flags name them.
FLAGS = ("sharded-kills", "kills", "corruptions", "hostile-files", "full-disks")
WORDS = dict(zip(FLAGS, KINDS, strict=True))


class Attack(NamedTuple):
    """One attack by its kind and its number."""

    kind: str
    number: int


def main() -> None:
    """Prepare a folder, try every attack upon it, print a table and write the results."""
    flags = read_flags()
    begin = time.monotonic()
    import_once()
    work = Path(tempfile.mkdtemp(prefix="chaos-", dir=flags.work_dir))
    try:
        ends = prepare(work / "prepared")
        print(f"prepared in {time.monotonic() - begin:.0f} s", flush=True)
        found = []
        for outcome in try_all(attacks_of(flags), flags.workers, (work, ends, flags.seed)):
            found.append(outcome)
            show(outcome, always=bool(flags.only) or flags.show_all)
            if len(found) % 25 == 0:
                print(f"{len(found)} attacks, {time.monotonic() - begin:.0f} s", flush=True)
    finally:
        shutil.rmtree(work)
    found.sort(key=lambda outcome: (list(KINDS).index(outcome.kind), outcome.number))
    seconds = time.monotonic() - begin
    write_results(flags.json, flags.seed, seconds, found)
    print(f"\n{format_table(found)}\n{format_peak(found)}")
    print(f"{seconds:.0f} s; every attack: {flags.json}")
    sys.exit(any(outcome.failed for outcome in found))


def read_flags() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m attacks.chaos", description=(__doc__ or "").partition("\n")[0]
    )
    for word, kind in WORDS.items():
        parser.add_argument(f"--{word}", type=int, default=0, help=f"How many {kind}.")
    parser.add_argument("--begin", type=int, default=0, help="The first number of each kind.")
    parser.add_argument("--seed", type=int, default=1, help="The same seed, the same attacks.")
    parser.add_argument("--only", help="One attack, such as corruptions:17.")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Attacks at a time.")
    parser.add_argument("--work-dir", type=Path, help="Where copies are made and spoilt.")
    parser.add_argument("--show-all", action="store_true", help="Print the harmless ends, too.")
    parser.add_argument("--json", type=Path, default=Path("runs/chaos.json"), help="The results.")
    return parser.parse_args()


def attacks_of(flags: argparse.Namespace) -> list[Attack]:
    """Return the attacks that the flags ask for, the longest first."""
    if flags.only:
        word, _, number = flags.only.partition(":")
        if word not in WORDS or not number.isdecimal():
            sys.exit(
                f"--only is {flags.only!r}, wanted one of {', '.join(WORDS)}, ':' and a number"
            )
        return [Attack(WORDS[word], int(number))]
    return [
        Attack(kind, number)
        for word, kind in WORDS.items()
        for number in range(flags.begin, flags.begin + getattr(flags, word.replace("-", "_")))
    ]


def try_all(
    attacks: list[Attack], workers: int, arena: tuple[Path, dict[str, Ended], int]
) -> Iterator[Outcome]:
    """Try every attack, several at a time, and yield what became of each as it ends.

    `arena` is what each worker's own is made of.
    """
    with ProcessPoolExecutor(
        workers, mp_context=get_context("fork"), initializer=_open_arena, initargs=arena
    ) as pool:
        for future in as_completed([pool.submit(_try, attack) for attack in attacks]):
            yield future.result()


def show(outcome: Outcome, always: bool) -> None:
    """Print an attack that did harm, with what is needed to repeat it."""
    if always or outcome.failed:
        (word,) = (word for word, kind in WORDS.items() if kind == outcome.kind)
        about = f"{outcome.target}; {outcome.what}"
        print(f"{outcome.outcome}: {word}:{outcome.number}: {about}")
        if outcome.detail:
            print(f"    {outcome.detail}")
        sys.stdout.flush()


# Of a worker; each has a folder of its own.
_ARENA: list[Arena] = []


def _open_arena(work: Path, ends: dict[str, Ended], seed: int) -> None:
    own = work / f"worker-{os.getpid()}" / "arena"
    _ARENA.append(Arena(work / "prepared", ends, own, seed))


def _try(attack: Attack) -> Outcome:
    try:
        return KINDS[attack.kind](_ARENA[0], attack.number)
    except RuntimeError as error:
        # A command that fails without an attack; the others are tried all the same.
        return Outcome(*attack, "undisturbed", "", "traceback", str(error))


if __name__ == "__main__":
    main()
