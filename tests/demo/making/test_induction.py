import pytest
import torch
from tiny_models import TINY

from demo.making.induction import initialise
from model.attention import Documents
from model.config import ModelConfig
from model.transformer import Transformer

SMALL = ModelConfig(
    dim=256,
    n_layers=2,
    n_heads=4,
    n_kv_heads=2,
    head_dim=64,
    hidden_dim=256,
    vocab_size=1000,
    tied_embeddings=True,
)


def share_of_continued(seed: int) -> float:
    """Of 40 random tokens and the same again, how many of the second half are predicted."""
    model = Transformer(SMALL)
    initialise(model, seed)
    half = torch.randperm(1000, generator=torch.Generator().manual_seed(seed))[:40]
    with torch.no_grad():
        logits = model(torch.cat([half, half]), torch.arange(80), Documents((0, 80)))
    return (logits[40:-1].argmax(-1) == half[1:]).float().mean().item()


def test_an_untrained_model_continues_a_repeated_sequence():
    assert sum(share_of_continued(seed) for seed in range(4)) / 4 > 0.5


def test_the_same_seed_gives_the_same_weights():
    models = [Transformer(SMALL) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        initialise(model, seed)
    first, again, other = (model.layers[1].feed_forward.w1.weight for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_tokens_of_the_same_letters_get_similar_embeddings():
    model = Transformer(SMALL)
    initialise(model, 0, [" cup", "_cup", "Cup", "cap", "7"])
    rows = model.tok_embeddings.weight[:5, 1:]
    rows = rows / rows.norm(dim=1, keepdim=True)
    likeness = (rows @ rows.t()).detach()
    assert all(likeness[a, b] > 0.5 for a, b in ((0, 1), (0, 2), (1, 2)))
    assert all(abs(likeness[a, b]) < 0.4 for a in range(3) for b in (3, 4))


def test_a_model_the_circuit_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="found tied_embeddings False, 2 layers, 4 heads"):
        initialise(Transformer(TINY), 0)
