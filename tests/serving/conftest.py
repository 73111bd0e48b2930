"""What a bare GPU image cannot collect: it has no pydantic."""

from importlib.util import find_spec

if find_spec("pydantic") is None:
    collect_ignore = ["test_generation_requests.py"]
