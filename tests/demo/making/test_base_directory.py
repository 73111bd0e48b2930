from pathlib import Path

import torch

from demo.making.base_directory import base_config, write_base
from demo.making.induction import initialise
from model.config import ModelConfig
from model.transformer import Transformer
from weights.directory import load_model, open_weights

VOCABULARY = Path("demo/base/tokenizer.model")


def written(directory: Path) -> Path:
    """The base with the bundled vocabulary, untrained, in bfloat16."""
    model = Transformer(base_config(2816 + 256))
    initialise(model, 0)
    weights = {name: p.detach().bfloat16() for name, p in model.named_parameters()}
    write_base(directory / "base", weights, VOCABULARY)
    return directory / "base"


def test_a_written_base_loads_as_a_native_model(tmp_path):
    base = written(tmp_path)
    assert ModelConfig.read(base) == base_config(2816 + 256)
    assert load_model(base).tok_embeddings.weight.dtype == torch.bfloat16
    assert "output.weight" not in open_weights(base)


def test_the_base_fits_in_8_mb_with_its_vocabulary(tmp_path):
    """Also as Meta ships it, where the tied output is stored a second time."""
    config = base_config(2816 + 256)
    with torch.device("meta"):
        model = Transformer(config)
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert 2 * (weights + config.vocab_size * config.dim) < 8_000_000
