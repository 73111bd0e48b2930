"""Generation: cached equals uncached, batched equals single, and sampling draws what it says."""

import math
import random
from typing import Any

import pytest
import torch
from operations import Operations
from tiny_models import LLAMA3_SHAPES, TINY, random_model, sharp_model
from torch import Tensor

from inference import sampling
from inference.generate import Batch, Decoding, Row, complete, generate, stream
from inference.sampling import (
    CANDIDATES,
    UNDECIDED,
    choose,
    choose_each,
    choose_from_all,
    forbid_unknown_ids,
)
from model.attention import Documents
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer

PROMPTS = [[11, 250, 3], [7], list(range(100, 170)), [5, 4, 3, 2, 300, 12, 9]]


@torch.no_grad()
def uncached_greedy(model: Transformer, prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        documents = Documents([0, len(tokens)])
        logits = model(torch.tensor(tokens), torch.arange(len(tokens)), documents)
        tokens.append(int(logits[-1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_greedy_generation_is_the_same_cached_uncached_batched_and_single(shape: str) -> None:
    model = sharp_model(LLAMA3_SHAPES[shape])
    options = {"stop_ids": (), "max_new_tokens": 24}
    batched = generate(model, PROMPTS, **options)
    assert batched == [uncached_greedy(model, prompt, 24) for prompt in PROMPTS]
    assert batched == [generate(model, [prompt], **options)[0] for prompt in PROMPTS]
    assert batched == generate(model, PROMPTS, batch_size=2, **options)
    assert len({token for tokens in batched for token in tokens}) > 20


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_greedy_generation_on_a_gpu_is_that_of_the_cpu() -> None:
    model = sharp_model()
    options = {"stop_ids": (), "max_new_tokens": 24}
    expected = generate(model, PROMPTS, **options)
    assert generate(model.cuda(), PROMPTS, batch_size=3, **options) == expected


def test_stop_token_ends_a_row_and_is_left_out() -> None:
    model = sharp_model()
    free = generate(model, PROMPTS, stop_ids=(), max_new_tokens=12)
    stop = free[1][4]
    ends = dict(complete(model, PROMPTS, Decoding(stop_ids={stop}, max_new_tokens=12)))
    for row, tokens in enumerate(free):
        completion = ends[row]
        cut = tokens.index(stop) if stop in tokens else None
        assert completion.tokens == tokens[:cut]
        assert completion.stop == (None if cut is None else stop)


def test_completions_arrive_as_rows_end() -> None:
    model = sharp_model()
    stop = generate(model, PROMPTS, stop_ids=(), max_new_tokens=12)[1][4]
    decoding = Decoding(stop_ids={stop}, max_new_tokens=12, batch_size=2)
    lengths = {
        row: len(completion.tokens) for row, completion in complete(model, PROMPTS, decoding)
    }
    assert set(lengths) == set(range(len(PROMPTS)))
    assert next(iter(lengths)) == 1


def test_finished_rows_no_longer_cost_anything() -> None:
    model = sharp_model()
    free = generate(model, PROMPTS, stop_ids=(), max_new_tokens=12)
    widths: list[int] = []
    model.norm.register_forward_hook(lambda _, inputs, __: widths.append(len(inputs[0])))
    generate(model, PROMPTS, stop_ids={free[1][4]}, max_new_tokens=12)
    assert widths[0] == len(PROMPTS)
    assert widths[5] < len(PROMPTS)


def test_prefill_projects_only_the_last_position_of_each_prompt() -> None:
    model = sharp_model()
    widths: list[int] = []
    model.output.register_forward_hook(lambda _, inputs, __: widths.append(len(inputs[0])))
    generate(model, PROMPTS, stop_ids=(), max_new_tokens=3)
    assert widths == [len(PROMPTS)] * 3


def test_max_length_bounds_prompt_and_reply_together() -> None:
    replies = generate(sharp_model(), PROMPTS, stop_ids=(), max_new_tokens=50, max_length=72)
    assert [len(reply) for reply in replies] == [50, 50, 2, 50]


def test_tokens_arrive_in_order_while_they_are_produced() -> None:
    model = sharp_model()
    arrived: dict[int, list[int]] = {row: [] for row in range(len(PROMPTS))}
    for row, token in stream(model, PROMPTS, Decoding(stop_ids=(), max_new_tokens=5)):
        arrived[row].append(token)
    assert list(arrived.values()) == generate(model, PROMPTS, stop_ids=(), max_new_tokens=5)


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ([], "prompt 1 is empty"),
        ([1] * 8, "prompt 1 has 8 tokens and max_length is 8"),
    ],
)
def test_a_prompt_that_cannot_be_continued_is_named(prompt: list[int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        generate(random_model(TINY), [[1], prompt], stop_ids=(), max_new_tokens=4, max_length=8)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0, wanted at least 1"),
        ({"batch_size": 0}, "batch_size is 0, wanted at least 1"),
        ({"temperature": -0.1}, "temperature is -0.1, wanted 0"),
        ({"temperature": math.nan}, "temperature is nan, wanted 0"),
        ({"top_p": 0.0}, "top_p is 0.0, wanted more than 0 and at most 1"),
        ({"top_p": 1.1}, "top_p is 1.1, wanted more than 0 and at most 1"),
    ],
)
def test_impossible_settings_are_refused(option: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Decoding(**{"stop_ids": (), "max_new_tokens": 1, **option})


def test_no_prompts_give_no_replies() -> None:
    assert generate(random_model(TINY), [], stop_ids=(), max_new_tokens=4) == []


def test_dropout_is_off_during_generation_and_restored_after() -> None:
    model = sharp_model()
    add_lora(model, LoraConfig(rank=4, dropout=0.5))
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            torch.nn.init.normal_(parameter, std=0.3)
    model.train()
    replies = [generate(model, PROMPTS, stop_ids=(), max_new_tokens=8) for _ in range(2)]
    assert replies[0] == replies[1] == [uncached_greedy(model.eval(), p, 8) for p in PROMPTS]
    model.train()
    generate(model, PROMPTS, stop_ids=(), max_new_tokens=1)
    assert model.training


def sampled(seed: int, prompts: list[list[int]] = PROMPTS, **options: float) -> list[list[int]]:
    settings = {"temperature": 2.0, "top_p": 0.95, "max_new_tokens": 12, **options}
    return generate(sharp_model(), prompts, stop_ids=(), seed=seed, **settings)


def test_sampling_follows_the_seed() -> None:
    assert sampled(seed=1) == sampled(seed=1)
    assert sampled(seed=1) != sampled(seed=2)


def test_sampled_row_does_not_depend_on_its_neighbours() -> None:
    together = sampled(seed=5)
    assert sampled(seed=5, batch_size=1) == together
    assert sampled(seed=5, prompts=PROMPTS[:1]) == together[:1]
    others = [PROMPTS[0], [1, 2], [3], PROMPTS[3]]
    assert [sampled(seed=5, prompts=others)[row] for row in (0, 3)] == [together[0], together[3]]


def test_equal_prompts_in_one_batch_are_drawn_apart() -> None:
    first, second = sampled(seed=5, prompts=[PROMPTS[0], PROMPTS[0]])
    assert first != second


def test_a_tiny_nucleus_is_greedy() -> None:
    greedy = generate(sharp_model(), PROMPTS, stop_ids=(), max_new_tokens=12)
    assert sampled(seed=5, top_p=1e-6) == greedy


def nucleus(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """The definition, one token at a time: probabilities [V] of the nucleus."""
    probabilities = (logits.double() / temperature).softmax(-1)
    kept = torch.zeros_like(probabilities)
    for token in probabilities.argsort(descending=True):
        kept[token] = probabilities[token]
        if kept.sum() >= top_p:
            break
    return kept / kept.sum()


def choose_anyhow(logits: Tensor, temperature: float, top_p: float, draws: Tensor) -> Tensor:
    """Choose from the candidates, and from everything where they do not suffice."""
    chosen = choose(logits, temperature, top_p, draws)
    return chosen.where(chosen != UNDECIDED, choose_from_all(logits, temperature, top_p, draws))


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("top_p", [0.5, 0.9, 1.0])
def test_draws_are_distributed_as_the_nucleus(temperature: float, top_p: float) -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(4)) * 0.8
    count = 20_000
    source = random.Random("0/0")
    draws = torch.tensor([source.random() for _ in range(count)], dtype=torch.float64)
    chosen = choose_anyhow(logits.expand(count, -1), temperature, top_p, draws)
    expected = nucleus(logits, temperature, top_p) * count
    seen = torch.bincount(chosen, minlength=12).double()
    possible = expected > 0
    assert seen[~possible].sum() == 0
    chi_square = ((seen - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = int(possible.sum()) - 1
    # Wilson and Hilferty's approximation of the 0.999 quantile.
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert chi_square < limit


def test_a_nucleus_wider_than_the_candidates_is_drawn_from_everything() -> None:
    logits = torch.randn(2, 4 * CANDIDATES, generator=torch.Generator().manual_seed(4)) * 0.1
    logits[0, 77] = 30
    draws = torch.tensor([0.999, 0.999], dtype=torch.float64)
    assert choose(logits, 1.0, 0.95, draws).tolist() == [77, UNDECIDED]
    chosen = choose_from_all(logits, 1.0, 0.95, draws)
    ranks = logits.argsort(-1, descending=True).argsort(-1)
    assert chosen[0] == 77
    assert ranks[1, chosen[1]] > CANDIDATES
    assert torch.equal(choose_from_all(logits[1:], 1.0, 0.95, draws[1:]), chosen[1:])


def plain_choice(logits: Tensor, temperature: float, top_p: float, draw: float) -> int:
    """The definition for one row: its tokens sorted, a draw from the nucleus's mass.

    Where that is everything, tokens stay in the order of their ids.
    """
    probabilities = (logits.float() / temperature).softmax(-1)
    if top_p == 1:
        cumulative = probabilities.double().cumsum(-1)
        return int((cumulative <= draw * cumulative[-1]).sum())
    likeliest = probabilities.topk(min(CANDIDATES, len(logits)))
    if likeliest.values.sum() < top_p:
        likeliest = probabilities.sort(descending=True, stable=True)
    cumulative = likeliest.values.double().cumsum(-1)
    size = int((cumulative - likeliest.values < top_p).sum())
    place = int((cumulative[:size] <= draw * cumulative[size - 1]).sum())
    return int(likeliest.indices[min(place, size - 1)])


@pytest.mark.parametrize("spread", [0.1, 1.0, 8.0])
def test_rows_of_any_settings_get_the_tokens_of_their_draws(spread: float) -> None:
    generator = torch.Generator().manual_seed(7)
    settings = [(t, p) for t in (0.0, 0.7, 1.5) for p in (0.3, 0.95, 1.0) for _ in range(3)]
    logits = spread * torch.randn(len(settings), 2 * CANDIDATES, generator=generator)
    draws = torch.rand(len(settings), dtype=torch.float64, generator=generator)
    wanted = [
        plain_choice(own, *setting, draw) if setting[0] else int(own.argmax())
        for own, setting, draw in zip(logits, settings, draws.tolist(), strict=True)
    ]
    assert choose_each(logits, settings, draws) == wanted


def test_wide_rows_of_one_setting_are_chosen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(6, 2 * CANDIDATES, generator=torch.Generator().manual_seed(7))
    logits[2, 77] = 90
    draws, looked_at = torch.full((6,), 0.5, dtype=torch.float64), []

    def note(logits: Tensor, *settings: Any) -> Tensor:
        looked_at.append(len(logits))
        return choose_from_all(logits, *settings)

    wanted = [plain_choice(own, 1.0, 0.95, 0.5) for own in logits]
    monkeypatch.setattr(sampling, "choose_from_all", note)
    assert choose_each(logits, [(1.0, 0.95)] * 6, draws) == wanted
    assert looked_at == [5]


@pytest.mark.parametrize(("top_p", "draw", "wanted"), [(0.9, 0, 1), (0.9, 1, 2), (1.0, 1, 3)])
def test_the_extreme_draws_stay_inside_the_nucleus(top_p: float, draw: int, wanted: int) -> None:
    logits = torch.tensor([[0.0, 5.0, 4.9, -20.0]])
    draws = torch.tensor([draw], dtype=torch.float64).nextafter(torch.zeros(1).double())
    assert choose_anyhow(logits, 1.0, top_p, draws).item() == wanted


def test_a_draw_from_everything_takes_no_forbidden_token() -> None:
    logits = torch.tensor([[-math.inf, 1.0, 2.0, -math.inf, -math.inf]]).expand(2, -1)
    draws = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert choose(logits, 1.0, 1.0, draws).tolist() == [1, 2]


def test_rows_joining_between_passes_keep_their_own_settings() -> None:
    model = sharp_model().eval()
    how = [
        Decoding(stop_ids=(), max_new_tokens=9),
        Decoding(stop_ids=(), max_new_tokens=7, temperature=1.5, top_p=0.9, seed=4),
        Decoding(stop_ids=(), max_new_tokens=30),
        Decoding(stop_ids=(), max_new_tokens=8, temperature=0.7, seed=5),
    ]
    alone = [
        dict(complete(model, [prompt], decoding))[0].tokens
        for prompt, decoding in zip(PROMPTS, how, strict=True)
    ]
    rows = [Row.of(0, prompt, decoding) for prompt, decoding in zip(PROMPTS, how, strict=True)]
    batch = Batch(model, size=3, max_length=80)
    said: dict[int, list[int]] = {id(row): [] for row in rows}
    coming = list(rows)
    while coming or batch.rows:
        if coming and not batch.full:
            batch.rows.append(coming.pop(0))
        for row, token, _ in batch.step():
            said[id(row)].append(token)
        if len(said[id(rows[2])]) == 3:
            batch.drop([rows[2]])
    alone[2] = alone[2][:3]
    assert [said[id(row)] for row in rows] == alone


@pytest.mark.parametrize("temperature", [0.0, 5.0])
def test_padding_and_unused_ids_are_never_chosen(temperature: float) -> None:
    model = sharp_model()
    with torch.no_grad():
        # These would be said all the time.
        model.output.weight[[100, 101, *range(300, 384)]] *= 20
    how = {"stop_ids": (), "max_new_tokens": 40, "temperature": temperature}
    free = generate(model, PROMPTS, **how)
    held = generate(model, PROMPTS, **how, vocab_size=300, unused_ids=(100, 101))
    allowed = set(range(300)) - {100, 101}
    assert any(set(reply) - allowed for reply in free)
    assert all(set(reply) <= allowed for reply in held)


def test_unused_ids_are_sent_to_the_device_once() -> None:
    first = torch.zeros(2, 300, device="meta")
    limits: list[tuple[int | None, tuple[int, ...]]] = [(300, (100, 101))] * 2
    forbid_unknown_ids(first, limits)
    # The index of the second time is there already.
    with Operations() as operations:
        forbid_unknown_ids(first, limits)
    assert operations.names == ["aten::index_fill_.int_Scalar"]


def test_rows_of_different_tokenizers_keep_their_own_limits() -> None:
    model = sharp_model().eval()
    how = [
        Decoding(stop_ids=(), max_new_tokens=20, vocab_size=50),
        Decoding(stop_ids=(), max_new_tokens=20),
    ]
    alone = [dict(complete(model, [[7]], decoding))[0].tokens for decoding in how]
    batch = Batch(model, size=2, max_length=30)
    batch.rows += [Row.of(0, [7], decoding) for decoding in how]
    said: dict[int, list[int]] = {id(row): [] for row in batch.rows}
    rows = list(batch.rows)
    while batch.rows:
        for row, token, _ in batch.step():
            said[id(row)].append(token)
    assert [said[id(row)] for row in rows] == alone
    assert max(alone[0]) < 50 <= max(alone[1])


def test_only_frozen_models_run_in_inference_mode() -> None:
    """Weights that DeepSpeed gathers in that mode could not be trained any more."""
    model, modes = random_model(TINY), []
    model.register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    generate(model, PROMPTS, stop_ids=(), max_new_tokens=1)
    generate(model.requires_grad_(False), PROMPTS, stop_ids=(), max_new_tokens=1)
    assert modes == [False, True]


def test_the_first_of_equally_likely_tokens_is_taken() -> None:
    logits = torch.zeros(2, 500, dtype=torch.bfloat16)
    logits[0, [7, 400]] = 1.0
    assert choose(logits, 0, 1, torch.full((2,), 0.5).double()).tolist() == [7, 0]


def test_equal_prompts_share_a_pass_and_say_what_they_say_alone() -> None:
    model = sharp_model().eval()
    prompts = [PROMPTS[2], PROMPTS[3], PROMPTS[2], PROMPTS[3], PROMPTS[2]]
    decoding = Decoding(stop_ids=(), max_new_tokens=20, batch_size=3, temperature=1.5, seed=4)
    apart = dict(complete(model, prompts, decoding))
    read = list[int]()
    model.register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    together = dict(complete(model, prompts, decoding, order=[0, 2, 4, 1, 3]))
    assert together == apart
    assert len({tuple(together[row].tokens) for row in (0, 2, 4)}) == 3
    # Three and two rows would have read more than both prompts and one token a pass each.
    assert sum(read) == len(PROMPTS[2]) + len(PROMPTS[3]) + 5 * 19
