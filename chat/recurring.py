"""A cache keyed by JSON value, for the tool declarations that data sets repeat in many rows."""

import marshal
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

Read = TypeVar("Read")
MOST_KEPT = 4096
# Later versions of marshal write equal values in more than one way.
_VERSION = 2
# Longer keys, in bytes, recur too rarely for the memory that thousands of them would take.
LONGEST_KEPT = 16_384


def read_once(read: Callable[[Any], Read]) -> Callable[[Any], Read]:
    """Cache what `read` returns for each JSON value; callers share it and must not change it.

    Values are equal here when their JSON is: 1, 1.0 and true differ, and so does the order of keys.
    """

    @lru_cache(maxsize=MOST_KEPT)
    def kept(key: bytes) -> Read:
        return read(marshal.loads(key))

    @wraps(read)
    def look_up(value: Any) -> Read:
        try:
            key = marshal.dumps(value, _VERSION)
        except ValueError:  # not a JSON value, or nested too deeply for a key
            return read(value)
        return kept(key) if len(key) <= LONGEST_KEPT else read(value)

    return look_up
