"""Make the sample of raw rows that is committed under demo/.

    python demo/making/assets.py --source-dir D

D holds Glaive v2 rows in their raw form: `glaive-function-calling-v2.rows_0_4.jsonl`,
`reconstructed_layout.en_part.json` and the licence text as `LICENSE`. The same rows give the
same bytes. What the files are and where they come from is written in demo/NOTICE.md. The model
there is made by demo/making/pretrain.py.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from console.command import print_next, run
from data.reading.rows import read_rows
from storage.atomic import new_file

SOURCES = ("glaive-function-calling-v2.rows_0_4.jsonl", "reconstructed_layout.en_part.json")
MOST_PER_SHAPE = 16
MOST_CHARACTERS = 2500

Row = Mapping[str, str]


def main(source_dir: str, output_dir: str = "demo") -> None:
    """Write the bundled sample and its licence.

    Args:
        source_dir: The folder of raw Glaive v2 rows with its LICENSE.
        output_dir: The folder to write to; NOTICE.md there is written by hand and left alone.
    """
    source, output = Path(source_dir).expanduser(), Path(output_dir)
    rows = list(choose(row.value for name in SOURCES for row in read_rows(source / name)))
    _write(output / "glaive-sample.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    _write(output / "LICENSE-APACHE-2.0", (source / "LICENSE").read_text(encoding="utf-8"))
    print(f"{len(rows)} rows in {output}")
    print_next("python scripts/run_demo.py")


def choose(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the first short rows of every shape, in their order, repeated ones as they stand."""
    taken: Counter[tuple[int, int, bool]] = Counter()
    for row in rows:
        shape = shape_of(row)
        short = len(row["system"]) + len(row["chat"]) <= MOST_CHARACTERS
        if short and taken[shape] < MOST_PER_SHAPE:
            taken[shape] += 1
            yield row


def shape_of(row: Row) -> tuple[int, int, bool]:
    """Return how many functions (0, 1, more), how many calls, and whether it asks before one."""
    functions = row["system"].count('"parameters": {')
    calls = row["chat"].count("<functioncall>")
    first_answer = row["chat"].partition("ASSISTANT: ")[2]
    asks_first = calls > 0 and not first_answer.startswith("<functioncall>")
    return min(functions, 2), min(calls, 2), asks_first


def _write(file: Path, text: str) -> None:
    with new_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
