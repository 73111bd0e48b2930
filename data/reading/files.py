"""The files that a dataset consists of: one, or those of a directory."""

from pathlib import Path

ENDINGS = (".json", ".jsonl", ".parquet")


def files_of(path: Path) -> list[Path]:
    """Return a file as it is, or the files of rows in a directory by name; ValueError without."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and file.is_file())
    if not files:
        raise ValueError(f"{path} is a directory without files of rows ({', '.join(ENDINGS)})")
    return files
