"""JSON that holds JSON alone."""

import pytest

from chat.strict_json import read_json


def test_deep_nesting_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="it is nested too deeply"):
        read_json("[" * 100_000)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        read_json("[NaN]")
