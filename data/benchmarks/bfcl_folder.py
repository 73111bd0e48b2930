"""The benchmark's own folder of BFCL: which of its categories are there, and their files."""

import re
from pathlib import Path

from data.benchmarks.bfcl_tasks import LANGUAGES
from data.benchmarks.bfcl_turns import TURN_CATEGORIES

CATEGORIES = (*LANGUAGES, *TURN_CATEGORIES)
# What is not scored here, and why.
LEFT_OUT = {
    "web_search": "it needs the web",
    "memory": "it needs conversations that fill a memory first",
    "format_sensitivity": "it counts in no score of the leaderboard",
}
_FILE = re.compile(r"BFCL_v\d+_([a-z_]+)(?:\.[^/]*)?\.json")


def find_categories(folder: Path | str) -> dict[str, Path]:
    """Return the file of questions of each category in a folder, also of those in LEFT_OUT.

    Raises ValueError for a folder without any, and for a category with two files.
    """
    directory = Path(folder).expanduser()
    if not directory.is_dir():
        raise ValueError(f"{directory} is no folder; wanted that of BFCL's files, BFCL_v4_*.json")
    found: dict[str, Path] = {}
    for path in sorted(directory.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match is None or match[1] not in (*CATEGORIES, *LEFT_OUT):
            continue
        if match[1] in found:
            raise ValueError(f"{found[match[1]]} and {path} are of one category; keep one of them")
        found[match[1]] = path
    if not found:
        raise ValueError(
            f"{directory} has no file BFCL_v4_*.json; wanted the benchmark's own files"
        )
    order = [*CATEGORIES, *LEFT_OUT]
    return {category: found[category] for category in order if category in found}


def answers_of(questions: Path) -> Path | None:
    """Return the file of answers that lies where the benchmark keeps it; None without one."""
    answers = questions.parent / "possible_answer" / questions.name
    return answers if answers.is_file() else None
