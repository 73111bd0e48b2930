"""Write requirements.lock: every package that requirements.txt needs, with its hashes.

python scripts/lock_requirements.py
"""

from console.command import print_next, run, shell_quote
from machine.lock import LOCK, lock
from storage.atomic import new_file


def main(output_file: str | None = None) -> None:
    """Resolve requirements.txt with pip, install nothing, and write what it chose.

    The lock file is for the Python that runs this and for machines like this one.

    Args:
        output_file: Where to write it; by default requirements.lock beside requirements.txt.
    """
    text = lock()
    target = output_file or str(LOCK)
    with new_file(target) as partial:
        partial.write_text(text, encoding="utf-8")
    print(f"{target}: {text.count('sha256:')} packages with their hashes")
    print_next(f"python -m pip install --require-hashes --no-deps -r {shell_quote(target)}")


if __name__ == "__main__":
    run(main, reads_written=False)
