"""Whether DeepSpeed is here; requirements.txt has it for Linux alone."""

from importlib.util import find_spec


def check_deepspeed() -> None:
    """Raise ValueError where DeepSpeed is not installed, with what to do."""
    if find_spec("deepspeed") is None:
        raise ValueError(
            "deepspeed is not installed; on Linux: python -m pip install -r requirements.txt; "
            "elsewhere train on one device: python finetune.py"
        )
