"""How weights that nobody trained are spoken to: as their family is."""

import json
from pathlib import Path

import pytest

from chat.formats.known import FORMATS
from weights.chat_record import PROPOSED_FORMAT, proposed_format
from weights.families.family import Family
from weights.families.known import FAMILIES

SIZES = {"dim": 8, "n_layers": 1, "n_heads": 2, "vocab_size": 300, "norm_eps": 1e-5}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_family_names_a_chat_format_there_is(family: Family) -> None:
    assert family.chat_format in FORMATS


@pytest.mark.parametrize(
    ("family", "format"),
    [("qwen2", "qwen2_5"), ("qwen3", "qwen3"), ("mistral", "mistral_v3"), (None, "llama3")],
)
def test_params_of_a_family_propose_its_format(
    tmp_path: Path, family: str | None, format: str
) -> None:
    params = {**SIZES, **({"family": family} if family else {})}
    (tmp_path / "params.json").write_text(json.dumps(params))
    assert proposed_format(tmp_path) == format


def test_a_directory_without_weights_proposes_the_general_format(tmp_path: Path) -> None:
    assert proposed_format(tmp_path) == PROPOSED_FORMAT
