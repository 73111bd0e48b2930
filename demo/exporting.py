"""The last stages of `make demo`: back to Meta's format, and the proof that no bit is lost."""

from pathlib import Path

from console import outcomes
from console.journey import Stage
from storage.manifest import sha256_of_file


def back_to_meta(output: Path) -> list[Stage]:
    """Return the stages that write the merged model as Meta ships one, and read it again."""
    merged, exported = output / "merged", output / "exported"
    return [
        Stage(
            "back to Meta's format",
            f"scripts/convert_to_meta_weights.py --config-file {merged}/params.json "
            f"--ckpt-file {merged}/consolidated.safetensors --num-shards 2 --output-dir {exported}",
            lambda root: f"2 shards, {outcomes.size(root / 'exported')}",
        ),
        Stage(
            "read the export as if it were Meta's",
            f"scripts/convert_from_meta_weights.py --llama3-dir {exported} "
            f"--output-dir {output}/returned",
            _returned,
        ),
    ]


def _returned(root: Path) -> str:
    merged, returned = (
        sha256_of_file(root / name / "consolidated.safetensors") for name in ("merged", "returned")
    )
    if merged != returned:
        raise ValueError(
            f"{root / 'returned'} does not hold the bits of {root / 'merged'}; the export lost some"
        )
    return "the same bits as the merged model"
