"""List the raise statements that no test reached: python tests/unreached.py FILE

FILE is what tests/raise_sites/sitecustomize.py wrote. Ends with 1 where one stands in a reader or a
command, of which every refusal has a test.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Where every refusal has a test: what reads files of others, and the commands.
TESTED = ("chat/", "console/", "data/reading/", "data/benchmarks/", "data/conversations.py")
TESTED += ("scripts/", "finetune.py", "ds_finetune.py", "chat_completion.py")


def raise_sites() -> Iterator[tuple[str, str]]:
    """Yield each raise statement of the project as `path:line`, with its first line."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if not name.startswith("tests/"):
            yield from sites_in(name, (ROOT / name).read_text(encoding="utf-8"))


def sites_in(name: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield the raise statements of one module."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            yield f"{name}:{node.lineno}", lines[node.lineno - 1].strip()


def unreached(record: Path, sites: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the sites that `record` does not name, in order."""
    reached = set(record.read_text(encoding="utf-8").split())
    missing = [(site, line) for site, line in sites if site not in reached]
    return sorted(missing, key=lambda found: _place(found[0]))


def _place(site: str) -> tuple[str, int]:
    path, _, line = site.rpartition(":")
    return path, int(line)


def main(record: str) -> int:
    """Print what is missing, and return the exit code."""
    sites = list(raise_sites())
    missing = unreached(Path(record), sites)
    for site, line in missing:
        print(f"{'wanted' if site.startswith(TESTED) else '      '}  {site}: {line}")
    wanted = sum(site.startswith(TESTED) for site, _ in missing)
    print(f"{len(missing)} of {len(sites)} raise statements were not reached, {wanted} of them")
    print(f"in readers and commands ({', '.join(TESTED)})")
    return int(wanted > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
