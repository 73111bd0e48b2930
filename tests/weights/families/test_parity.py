"""Every family through the real converters: the numbers of Transformers, both ways, bit for bit."""

import pytest
import torch
from hugging_face_models import MODELS, VOCABULARY, write_hugging_face
from torch import Tensor
from transformers import AutoModelForCausalLM

from inference.generate import generate
from model.attention import Documents
from model.transformer import Transformer
from weights.directory import WEIGHTS_FILE, load_model
from weights.families.known import FAMILIES
from weights.hugging_face.conversion import convert_from_hugging_face, convert_to_hugging_face
from weights.hugging_face.names import from_hugging_face
from weights.table import bitwise_equal, expected_shapes, shapes

# Within and beyond every window and long RoPE's threshold (tests/hugging_face_models.py).
LENGTHS = (5, 16, 17, 100)


def random_tokens(length: int) -> Tensor:
    return torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(length))


@torch.no_grad()
def logits_of(model: Transformer, tokens: Tensor) -> Tensor:
    return model(tokens, torch.arange(len(tokens)), Documents([0, len(tokens)]))


@pytest.fixture(scope="module", params=MODELS)
def directories(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A Hugging Face directory in several files, the native one, and that exported again."""
    path = tmp_path_factory.mktemp(request.param)
    theirs = write_hugging_face(path / "hf", request.param, shard_size="60KB")
    convert_from_hugging_face(path / "hf", path / "native")
    convert_to_hugging_face(path / "native", path / "exported", largest_file=60_000)
    return path, theirs


def test_every_family_has_a_model_here() -> None:
    tried = {config.model_type for config, _, _ in MODELS.values()}
    assert tried == {family.model_type for family in FAMILIES.values()}


def test_logits_are_those_of_transformers(directories) -> None:
    path, theirs = directories
    ours = load_model(path / "native")
    for length in LENGTHS:
        tokens = random_tokens(length)
        with torch.no_grad():
            wanted = theirs(tokens[None]).logits[0]
        torch.testing.assert_close(logits_of(ours, tokens), wanted, atol=1e-4, rtol=0)


def test_loss_gradients_are_those_of_transformers(directories) -> None:
    path, theirs = directories
    ours, tokens = load_model(path / "native"), random_tokens(40)
    logits = ours(tokens, torch.arange(40), Documents([0, 40]))
    torch.nn.functional.cross_entropy(logits[:-1], tokens[1:]).backward()
    theirs.zero_grad()
    theirs(tokens[None], labels=tokens[None]).loss.backward()
    wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, gradient in from_hugging_face(ours.config, wanted):
        found = ours.get_parameter(name).grad
        torch.testing.assert_close(found, gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_exported_directory_loads_whole_with_the_same_bits(directories) -> None:
    path, theirs = directories
    loaded, report = AutoModelForCausalLM.from_pretrained(
        path / "exported", output_loading_info=True
    )
    assert not any(report.values()), report
    wanted = theirs.state_dict()
    assert all(bitwise_equal(x, wanted[name]) for name, x in loaded.state_dict().items())
    assert len(list((path / "exported").glob("model-*.safetensors"))) > 1


def test_exported_directory_converts_back_bit_identical(directories) -> None:
    path, _ = directories
    convert_from_hugging_face(path / "exported", path / "back")
    for name in (WEIGHTS_FILE, "params.json", "tokenizer.json", "tokenizer_config.json"):
        assert (path / "back" / name).read_bytes() == (path / "native" / name).read_bytes()


def test_greedy_ids_are_those_of_the_exported_model(directories) -> None:
    """Replies begin within a window, or long RoPE's threshold, and end beyond it."""
    path, _ = directories
    ours = load_model(path / "native")
    theirs = AutoModelForCausalLM.from_pretrained(path / "exported", attn_implementation="eager")
    theirs.generation_config.eos_token_id = None
    prompts = [random_tokens(length).tolist() for length in (10, 4, 30)]
    replies = generate(ours, prompts, stop_ids=(), max_new_tokens=12)
    for prompt, reply in zip(prompts, replies, strict=True):
        wanted = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=0
        )
        assert reply == wanted[0, len(prompt) :].tolist()


def test_documents_of_one_pack_do_not_change_each_other(directories) -> None:
    path, _ = directories
    ours = load_model(path / "native")
    documents = [random_tokens(length) for length in (3, 40, 16, 17)]
    offsets = [0, 3, 43, 59, 76]
    positions = torch.cat([torch.arange(len(document)) for document in documents])
    with torch.no_grad():
        together = ours(torch.cat(documents), positions, Documents(offsets))
    alone = torch.cat([logits_of(ours, document) for document in documents])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_rows_of_the_table_are_the_parameters_of_the_model(directories) -> None:
    path, _ = directories
    model = load_model(path / "native")
    parameters = dict(model.named_parameters())
    assert list(parameters) == list(expected_shapes(model.config))
    assert shapes(parameters) == expected_shapes(model.config)
