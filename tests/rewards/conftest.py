"""What of these tests is collected on a bare GPU image."""

from importlib.util import find_spec

# It has no pydantic: what reads settings is left out there.
if find_spec("pydantic") is None:
    collect_ignore = ["test_parts.py", "test_episodes.py", "test_opening.py", "test_runs.py"]
