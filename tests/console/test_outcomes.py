import json
from pathlib import Path

from console.outcomes import built, lines, losses, rewarded, size, trained


def test_losses_are_read_from_the_runs_metrics(tmp_path: Path):
    lines = [
        {"kind": "train", "step": 1, "loss": 9.0},
        {"kind": "validation", "step": 1, "loss": 8.0},
        {"kind": "train", "step": 2, "loss": 3.0},
        {"kind": "validation", "step": 2, "loss": 4.0},
        {"kind": "train", "step": 3, "loss": 2.0},
        {"kind": "validation", "step": 3, "loss": 5.0},
    ]
    file = tmp_path / "logs/demo/metrics.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert losses(file.parent) == {
        "train": {"first": 9.0, "last": 2.0},
        "validation": {"first_step": 1, "first": 8.0, "lowest": 4.0},
    }
    assert trained(tmp_path) == (
        "training loss 9.00 to 2.00, validation loss 8.00 after step 1 to 4.00"
    )


def test_rewards_are_means_of_the_first_and_last_steps(tmp_path: Path):
    rewards = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    rows = [{"kind": "train", "reward": reward} for reward in rewards]
    file = tmp_path / "logs/learnt/metrics.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"kind": "validation"}]))
    assert rewarded(tmp_path, "learnt") == "reward 0.30 to 0.50 in 7 steps (means of 5)"


def test_lines_and_sizes_of_files_are_reported(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("{}\n" * 1200)
    assert lines(tmp_path / "rows.jsonl") == "1,200 conversations"
    (tmp_path / "weights").write_bytes(bytes(1_500_000))
    assert size(tmp_path) == "1.5 MB"


def test_a_dataset_says_what_was_left_out(tmp_path: Path):
    splits = {"train": {"conversations": 9, "tokens": 1200}}
    rejected = {"overlong": [{"id": "a"}, {"id": "b"}], "untrained": []}
    about = {"splits": splits, "rejected": rejected, "not_named": {"overlong": 3}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert built(tmp_path) == "train 9 (1,200 tokens), 5 left out as overlong"
