"""The files that are cleaned as one: their common layout, and how the report names them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from data.reading import RawRow, detect_format, explain_format, find_source
from data.reading.rows import Line, parsed, read_unparsed
from storage.manifest import sha256_of_file


def common_layout(files: Sequence[Path], format: str, skip_malformed: bool) -> str:
    """Return the layout of all files; ValueError where their first rows have two."""
    layouts = [with_layout(read_unparsed(file, skip_malformed), file, format)[1] for file in files]
    for file, layout in zip(files, layouts, strict=True):
        if layout != layouts[0]:
            raise ValueError(
                f"{file} has the layout {layout}, and {files[0].name} beside it {layouts[0]}; "
                "clean each by itself, or name one layout with --format"
            )
    return layouts[0]


def describe_source(source: Path, files: Sequence[Path], layout: str) -> dict[str, Any]:
    """Return what the report says of the source: its files, their sha256, their layout.

    Where the first row fits other layouts too, `format_chosen` says why it was this one.
    """
    rows = map(parsed, read_unparsed(files[0], skip_malformed=True))
    why = explain_format(next(row.value for row in rows if row.problem is None), layout)
    chosen = {"format": layout} | ({"format_chosen": why} if why else {})
    if not source.is_dir():
        return {"file": source.name, "sha256": sha256_of_file(source), **chosen}
    named = [{"file": file.name, "sha256": sha256_of_file(file)} for file in files]
    return {"directory": source.resolve().name, "files": named, **chosen}


def with_layout(
    rows: Iterator[RawRow | Line], source: Path, format: str
) -> tuple[Iterator[RawRow | Line], str]:
    """Return all rows, and the layout that was named or that the first readable row has."""
    if format != "auto":
        find_source(format)
    looked_at = []
    for row in map(parsed, rows):
        looked_at.append(row)
        if row.problem is None:
            break
    else:
        count = len(looked_at)
        raise ValueError(f"{source} holds no row that can be read ({count} malformed lines)")
    if format == "auto":
        try:
            format = detect_format(looked_at[-1].value)
        except ValueError as error:
            raise ValueError(f"{source}, {looked_at[-1].place}: {error}") from error
    return chain(looked_at, rows), format
