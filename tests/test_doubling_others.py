"""The other half of test_doubling.py's readers, in a file of its own for a second worker."""

import growth
import pytest


@pytest.mark.long
@pytest.mark.parametrize("name", growth.READERS[1::2])
def test_twice_the_input_takes_about_twice_the_time(name: str) -> None:
    growth.assert_linear(name)
