"""Read the rows of a Parquet file, which needs the optional package pyarrow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROWS_AT_ONCE = 256


def read_parquet(path: Path) -> Iterator[tuple[Any, int]]:
    """Yield each row as JSON values, and about how many bytes of the file have been read.

    A table has every key of its objects in every row; where a row has none, it holds null. Such
    keys are left out. What JSON does not know (times, bytes, decimals) becomes text.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ValueError(
            f"{path} is a Parquet file, which needs pyarrow: python -m pip install -e '.[parquet]'"
        ) from error
    size, read = path.stat().st_size, 0
    try:
        with ParquetFile(path) as file:
            total = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    read += 1
                    text = json.dumps(_without_nulls(row), ensure_ascii=False, default=_text)
                    yield json.loads(text), size * read // total
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is a Parquet file that cannot be read: {reason}") from error
    if read == 0:
        raise ValueError(f"{path} is empty; wanted a table with at least one row")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    # A map, unlike a struct, comes as pairs.
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {str(key): _without_nulls(item) for key, item in value}
        return [_without_nulls(item) for item in value]
    return value


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
