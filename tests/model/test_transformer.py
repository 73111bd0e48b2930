from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from meta_directories import write_meta_directory
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from model.attention import Documents
from model.config import ModelConfig, RopeScaling
from model.transformer import Transformer
from weights.conversion import convert_from_meta
from weights.directory import load_model
from weights.hugging_face.names import from_hugging_face
from weights.table import expected_shapes

# Long enough that scaled rotary positions differ visibly from plain ones, and factor 32 from 8.
LONG = 640


def hugging_face_llama(config: ModelConfig) -> LlamaForCausalLM:
    """Transformers' Llama of the same sizes with seeded random weights, norms included."""
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling:
        rope |= {
            "rope_type": "llama3",
            "factor": config.rope_scaling.factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    settings = LlamaConfig(
        hidden_size=config.dim,
        intermediate_size=config.hidden_dim,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_kv_heads,
        head_dim=config.head_dim,
        vocab_size=config.vocab_size,
        rms_norm_eps=config.norm_eps,
        rope_parameters=rope,
        max_position_embeddings=131072,
        tie_word_embeddings=config.tied_embeddings,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def logits_of(model: Transformer, tokens: Tensor) -> Tensor:
    """The logits at every token of one document."""
    with torch.no_grad():
        return model(tokens, torch.arange(len(tokens)), Documents([0, len(tokens)]))


def random_tokens(length: int, seed: int = 0) -> Tensor:
    return torch.randint(
        0, TINY.vocab_size, (length,), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize(("shape", "shards"), [("llama3", 1), ("llama3_1", 2), ("llama3_2", 2)])
def test_logits_agree_with_transformers_through_metas_format_and_the_converter(
    shape: str, shards: int, tmp_path: Path
) -> None:
    config = LLAMA3_SHAPES[shape]
    theirs = hugging_face_llama(config)
    state = dict(from_hugging_face(config, theirs.state_dict()))
    write_meta_directory(tmp_path / "meta", config, state, shards)
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    ours = load_model(tmp_path / "native")
    assert ours.config == config

    tokens = random_tokens(LONG)
    with torch.no_grad():
        wanted = theirs(tokens[None]).logits[0]
    found = logits_of(ours, tokens)
    assert wanted.abs().max() > 1
    assert (found - wanted).abs().max() <= 1e-4
    assert torch.equal(found.argmax(-1), wanted.argmax(-1))


def test_the_rope_factor_shows_at_this_length() -> None:
    """Otherwise the comparison above could not tell factor 8 from 32, or from none."""
    tokens = random_tokens(LONG)
    logits = []
    for scaling in (None, RopeScaling(factor=8.0), RopeScaling(factor=32.0)):
        logits.append(logits_of(random_model(replace(TINY, rope_scaling=scaling)), tokens))
    assert (logits[0] - logits[1]).abs().max() > 1e-2
    assert (logits[1] - logits[2]).abs().max() > 1e-3


def packed(documents: list[Tensor]) -> tuple[Tensor, Tensor, Documents]:
    """Documents side by side: tokens, positions that count from 0 in each, and the offsets."""
    positions = torch.cat([torch.arange(len(document)) for document in documents])
    offsets = [0]
    for document in documents:
        offsets.append(offsets[-1] + len(document))
    return torch.cat(documents), positions, Documents(offsets)


def loss_and_gradients(
    model: Transformer, documents: list[Tensor], chosen: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of document `chosen`, and the gradients of its own next-token loss."""
    tokens, positions, context = packed(documents)
    start, end = context.offsets[chosen : chosen + 2]
    rows = torch.arange(start, end)
    model.zero_grad()
    logits = model(tokens, positions, context, output_positions=rows)
    F.cross_entropy(logits[:-1], tokens[start + 1 : end], reduction="sum").backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return logits.detach(), gradients


@pytest.mark.parametrize(
    ("shape", "chosen"), [("llama3", 0), ("llama3", 1), ("llama3_1", 2), ("llama3_2", 1)]
)
def test_packed_document_has_the_logits_and_gradients_it_has_alone(shape: str, chosen: int) -> None:
    model = random_model(LLAMA3_SHAPES[shape])
    documents = [random_tokens(length, seed=length) for length in (17, 40, 5)]
    logits, gradients = loss_and_gradients(model, documents, chosen)
    alone_logits, alone_gradients = loss_and_gradients(model, [documents[chosen]], 0)
    torch.testing.assert_close(logits, alone_logits, atol=1e-5, rtol=1e-5)
    for name, gradient in alone_gradients.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_documents_that_are_not_kept_apart_change_the_logits() -> None:
    model = random_model(TINY)
    tokens, positions, context = packed([random_tokens(17, 1), random_tokens(40, 2)])
    with torch.no_grad():
        apart = model(tokens, positions, context)
        together = model(tokens, positions, Documents([0, len(tokens)]))
        running = model(tokens, torch.arange(len(tokens)), context)
    torch.testing.assert_close(apart[:17], together[:17], atol=1e-5, rtol=1e-5)
    assert (apart[17:] - together[17:]).abs().max() > 1e-2
    # Rotary positions are relative: where a document starts to count changes nothing.
    torch.testing.assert_close(apart, running, atol=1e-4, rtol=1e-4)


def test_rows_and_head_give_the_logits_of_chosen_tokens_only() -> None:
    model = random_model(TINY)
    tokens = random_tokens(12)
    everything = logits_of(model, tokens)
    rows = torch.tensor([3, 11])
    seen = []

    def head(hidden: Tensor, weight: Tensor) -> Tensor:
        seen.append((hidden.shape, weight.shape))
        return hidden @ weight.t()

    with torch.no_grad():
        chosen = model(
            tokens, torch.arange(12), Documents([0, 12]), output_positions=rows, head=head
        )
    torch.testing.assert_close(chosen, everything[rows], atol=1e-6, rtol=1e-6)
    assert seen == [((2, TINY.dim), (TINY.vocab_size, TINY.dim))]


def test_chosen_positions_give_the_gradients_of_their_logits() -> None:
    """The last layer skips the other tokens after its attention; they still serve as keys."""
    model, tokens, rows = random_model(TINY), random_tokens(12), torch.tensor([3, 11])
    gradients = []
    for chosen in (rows, None):
        logits = model(tokens, torch.arange(12), Documents([0, 5, 12]), output_positions=chosen)
        loss = (logits if chosen is not None else logits[rows]).square().sum()
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_parameters_have_metas_names_in_the_order_of_the_table(shape: str) -> None:
    config = LLAMA3_SHAPES[shape]
    model = Transformer(config)
    assert {n: tuple(p.shape) for n, p in model.named_parameters()} == expected_shapes(config)
    assert list(dict(model.named_parameters())) == list(expected_shapes(config))


def test_tied_output_is_the_embedding_itself() -> None:
    model = Transformer(LLAMA3_SHAPES["llama3_2"])
    assert model.output.weight is model.tok_embeddings.weight


def test_bfloat16_weights_compute_in_bfloat16() -> None:
    model = random_model(TINY)
    tokens = random_tokens(30)
    exact = logits_of(model, tokens)
    rounded = logits_of(model.bfloat16(), tokens)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()
