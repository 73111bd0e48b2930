"""Which rank reads which file of a checkpoint."""

import pytest

from training.hashing import writer


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("adapter.safetensors", 0),
        ("mp_rank_00_model_states.pt", 0),
        ("rng-00005.safetensors", 5),
        ("zero_pp_rank_7_mp_rank_00_model_states.pt", 7),
        ("zero_pp_rank_12_mp_rank_00_optim_states.pt", 12),
        ("bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt", 3),
    ],
)
def test_a_file_is_its_writers(name: str, rank: int) -> None:
    assert writer(name, 16) == rank


def test_fewer_ranks_share_all_files() -> None:
    names = [f"rng-{rank:05d}.safetensors" for rank in range(8)]
    assert [writer(name, 3) for name in names] == [0, 1, 2, 0, 1, 2, 0, 1]
