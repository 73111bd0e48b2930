"""What `make demo-reward` does after the demo: its model learns on, from its own replies."""

from pathlib import Path

from console import outcomes
from console.journey import Stage
from console.stages import merge

CONFIG_FILE = "configs/reward.json"
NAME = "demo-reward"


def rewarding(output: Path) -> list[Stage]:
    """Return the stages that train the demo's merged model on, and merge what it learnt."""
    prompts = ",".join(f"{output}/{name}.jsonl" for name in ("everyday", "made_up"))
    return [
        Stage(
            "learn on from rewards",
            f"finetune.py --config-file {CONFIG_FILE} --model.checkpoint_dir={output}/merged "
            f"--data.dataset_dir={output}/dataset --reward.prompts_file={prompts} "
            f"--checkpoint.output_dir={output}/checkpoints --logging.output_dir={output}/logs",
            lambda root: outcomes.rewarded(root, NAME),
        ),
        merge(f"{output}/merged", f"{output}/checkpoints/{NAME}/final", f"{output}/rewarded"),
    ]
