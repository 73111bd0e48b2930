"""What weights must keep to become best/: text where no call is wanted, and plain text."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from data.batches import Batch, make_batch, whole_split
from data.plain_text import SMALLEST_WINDOW, WINDOW, TextWindows
from training.best import TEXT_LOSS, Generated
from training.progress import Progress
from weights.directory import resolve_directory

if TYPE_CHECKING:
    from training.config import Config
    from training.sections import GateSection


@dataclass(frozen=True)
class GateText:
    """A plain text in batches; `bits_of` turns the mean loss of its tokens into bits a byte."""

    batches: Callable[[], Iterable[Batch]]
    sha256: str
    tokens: int
    bytes: int

    def bits_of(self, loss: float) -> float:
        """Return nats a token as bits a byte."""
        return loss * self.tokens / self.bytes / math.log(2)


@dataclass(frozen=True)
class Gate:
    """The limits of validation.gate; `text` is None where none is measured."""

    limits: "GateSection"
    text: GateText | None

    def begin(self, progress: Progress, measure: Callable[[], float]) -> None:
        """Remember the loss of the text at the start; ValueError where the run had another."""
        if self.text is None:
            return
        if progress.gate_text is None and progress.step == 0:
            found = measure()
            if not math.isfinite(found):
                raise ValueError(
                    f"the model's loss on validation.gate.text_file={self.limits.text_file} is "
                    f"{found:g} before the first step, so its weights are damaged; take other ones"
                )
            progress.gate_text = {"sha256": self.text.sha256, TEXT_LOSS: found}
        if progress.gate_text is None or progress.gate_text["sha256"] != self.text.sha256:
            raise ValueError(
                f"this run did not begin with validation.gate.text_file={self.limits.text_file} as "
                "it is read now, so its loss at the start is not known; put file, text_bytes and "
                "tokenizer back, use another --name, or add --validation.gate.text_file=null"
            )

    def problems(self, figures: Mapping[str, float], progress: Progress) -> list[str]:
        """Return why weights with these figures may not become best/; nothing where they may."""
        found = []
        least = self.limits.irrelevance
        if least is not None and "irrelevance" not in figures:
            found.append("no replies were generated, so validation.gate.irrelevance is not known")
        elif least is not None and not figures["irrelevance"] >= least:
            found.append(
                f"irrelevance {100 * figures['irrelevance']:.1f}% is below "
                f"{100 * least:.1f}% (validation.gate.irrelevance)"
            )
        if progress.gate_text is not None and self.text is not None:
            start = progress.gate_text[TEXT_LOSS]
            if not figures[TEXT_LOSS] <= start + self.limits.text_rise:
                found.append(
                    f"plain text {figures[TEXT_LOSS]:.3f} bits a byte is above {start:.3f} at the "
                    f"start by more than {self.limits.text_rise:g} (validation.gate.text_rise)"
                )
        return found


def open_gate(
    config: "Config",
    chat_format: str,
    generated: Generated | None,
    rank: int = 0,
    world_size: int = 1,
) -> Gate | None:
    """Return the gate of a run's settings, None where there is none.

    ValueError for a limit that nothing of this run can be held against.
    """
    limits = config.validation.gate
    if limits is None:
        return None
    if limits.irrelevance is not None and not (generated and generated.measures("irrelevance")):
        raise ValueError(
            "validation.gate.irrelevance is a limit for replies where no call is wanted, and none "
            "of the prompts drawn is such; raise validation.generated.prompts, name another "
            "validation.generated.conversations_file, or add --validation.gate.irrelevance=null"
        )
    if limits.text_file is None:
        return Gate(limits, None)
    room = config.training.micro_batch_tokens
    # A byte is a token at most, but for the first one and what a tokenizer puts before a text.
    window = max(SMALLEST_WINDOW, min(WINDOW, room - 2))
    base = resolve_directory(config.model.checkpoint_dir)
    text = TextWindows.read(limits.text_file, limits.text_bytes, window, base, chat_format)
    parts = whole_split(text, room, rank, world_size)
    return Gate(
        limits,
        GateText(
            lambda: map(partial(make_batch, text), parts),
            text.sha256,
            int((text.lengths - 1).sum()),
            text.bytes,
        ),
    )
