"""The engine: an error in one reply ends only that reply, and the limits are kept."""

import threading
from queue import SimpleQueue
from typing import Any

import pytest
from tiny_models import TINY, random_model
from torch import Tensor

from inference.generate import Decoding, generate
from model.transformer import Transformer
from serving.engine import Engine, Failed, Job, NewToken

GREEDY = Decoding(stop_ids=(), max_new_tokens=6)
PROMPTS = [[11, 250, 3], [7], list(range(100, 130)), [5, 4, 3, 2]]


@pytest.fixture(scope="module")
def model() -> Transformer:
    return random_model(TINY, seed=3)


class Receiver:
    """A job and the tokens that it received."""

    def __init__(self, prompt: list[int], decoding: Decoding = GREEDY, **options: Any) -> None:
        self._arrived: SimpleQueue[NewToken | Failed] = SimpleQueue()
        self.job = Job(prompt, decoding, self._arrived.put, **options)

    def next(self) -> NewToken | Failed:
        return self._arrived.get(timeout=30)

    def tokens(self) -> list[int]:
        """Wait for the last token; return all."""
        tokens = []
        while True:
            said = self.next()
            assert isinstance(said, NewToken), said
            tokens.append(said.token)
            if said.last:
                return tokens


class Failing:
    """A constraint that fails at its second token, where it has allowed none or accepts it."""

    def __init__(self, place: str) -> None:
        self.calls, self.place = {"restrict": 0, "accept": 0}, place

    def _count(self, place: str) -> None:
        self.calls[place] += 1
        if place == self.place and self.calls[place] > 1:
            raise ValueError(f"{place} fails")

    def restrict(self, logits: Tensor, room: int) -> None:
        if self.place == "restrict" and self.calls["restrict"]:
            logits.fill_(float("-inf"))
        self._count("restrict")

    def accept(self, token: int, room: int) -> bool:
        self._count("accept")
        return True


def test_batched_jobs_generate_the_same_tokens_as_alone(model: Transformer) -> None:
    alone = generate(model, PROMPTS, stop_ids=(), max_new_tokens=6)
    with Engine(model, size=2, max_length=64, most_waiting=9) as engine:
        receivers = [Receiver(prompt) for prompt in PROMPTS]
        assert engine.submit([receiver.job for receiver in receivers])
        assert [receiver.tokens() for receiver in receivers] == alone


@pytest.mark.parametrize("place", ["restrict", "accept"])
def test_failing_constraint_ends_only_its_own_reply(model: Transformer, place: str) -> None:
    alone = generate(model, PROMPTS[:1], stop_ids=(), max_new_tokens=6)
    with Engine(model, size=2, max_length=64, most_waiting=9) as engine:
        drawn = Decoding((), max_new_tokens=6, temperature=1.0, top_p=0.9)
        bad, good = Receiver(PROMPTS[1], drawn, constraint=Failing(place)), Receiver(PROMPTS[0])
        assert engine.submit([bad.job, good.job])
        assert isinstance(bad.next(), NewToken)
        failed = bad.next()
        assert isinstance(failed, Failed) and str(failed.error) == f"{place} fails"
        assert good.tokens() == alone[0]


def test_model_error_fails_running_jobs_but_not_later_ones(
    model: Transformer,
) -> None:
    alone = generate(model, PROMPTS[:1], stop_ids=(), max_new_tokens=6)
    with Engine(model, size=2, max_length=64, most_waiting=9) as engine:
        receivers = [Receiver(PROMPTS[0]), Receiver([TINY.vocab_size + 7])]
        assert engine.submit([receiver.job for receiver in receivers])
        assert all(isinstance(receiver.next(), Failed) for receiver in receivers)
        after = Receiver(PROMPTS[0])
        assert engine.submit([after.job])
        assert after.tokens() == alone[0]


def test_full_engine_rejects_jobs_until_others_are_cancelled(model: Transformer) -> None:
    endless = Decoding(stop_ids=(), max_new_tokens=10**6, max_length=20_000)
    go_on = threading.Event()

    class Held:
        """Blocks a reply until `go_on` is set, so that the test does not depend on time."""

        def restrict(self, logits: Tensor, room: int) -> None:
            go_on.wait(30)

        def accept(self, token: int, room: int) -> bool:
            return True

    with Engine(model, size=1, max_length=20_000, most_waiting=1) as engine:
        first, second, third = (
            Receiver([1], endless, constraint=Held()),
            Receiver([2], endless),
            Receiver([3]),
        )
        assert engine.submit([first.job])
        assert not engine.submit([second.job, third.job])
        assert engine.submit([second.job])
        assert not engine.submit([third.job])
        engine.cancel([first.job, second.job])
        go_on.set()
        while not engine.submit([third.job]):
            pass
        assert len(third.tokens()) == 6


def test_prompt_longer_than_the_limit_is_rejected_at_submit(model: Transformer) -> None:
    with Engine(model, size=1, max_length=8, most_waiting=1) as engine:
        with pytest.raises(ValueError, match="has 9 tokens"):
            engine.submit([Receiver([1] * 9, Decoding((), 4, max_length=8)).job])
        assert engine.submit([Receiver([1]).job])


def test_recorded_jobs_say_the_same(model: Transformer) -> None:
    with Engine(model, 2, 60, 10, cuda_graphs=True) as engine:
        receivers = [Receiver(prompt) for prompt in PROMPTS]
        assert engine.submit([receiver.job for receiver in receivers])
        said = [receiver.tokens() for receiver in receivers]
    assert said == generate(model, PROMPTS, stop_ids=(), max_new_tokens=6)
