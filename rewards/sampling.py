"""Draw replies to prompts, judge them, and write the right ones as conversations to train on."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chat.conversation import Conversation
from console.progress import with_progress
from data.conversations import content_sha256
from evaluation.judging import check_writable
from evaluation.workload import Workload
from inference.chat_model import ChatModel, SkippedItem
from rewards.kept import kept_rows, row_line
from rewards.prompts import Prompt
from rewards.replies import Drawing, DrawnReply, draw_replies
from rewards.reply_log import ReplyLog
from rewards.tally import Tally
from rewards.verdicts import JudgedReply, judge_reply
from storage.atomic import new_file
from storage.json_file import write_json

Answered = tuple[int, list[DrawnReply] | SkippedItem]


@dataclass(frozen=True)
class Outputs:
    """Where right replies go, and all verdicts where a file is named; a report lies beside them.

    most: The most rows that one prompt gives.
    skip_easy: Whether prompts whose replies are all right give none.
    replay: How many training conversations are written too for each row.
    """

    save_file: Path
    verdicts_file: Path | None = None
    most: int = 2
    skip_easy: bool = False
    replay: float = 0.0

    @property
    def report_file(self) -> Path:
        """Where the counts are written, JSON."""
        return self.save_file.with_name(f"{self.save_file.stem}.report.json")

    def unfinished(self) -> "Outputs":
        """Return where what was judged until an interruption goes."""
        return replace(
            self,
            save_file=_unfinished(self.save_file),
            verdicts_file=self.verdicts_file and _unfinished(self.verdicts_file),
        )

    def remove(self) -> None:
        """Remove the files."""
        for file in (self.save_file, self.verdicts_file, self.report_file):
            if file is not None:
                file.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise ValueError for a file that cannot be written; called before the work begins."""
        check_writable(self.save_file, self.verdicts_file, self.report_file)


@dataclass
class Sampling:
    """Replies to prompts, under way.

    draw_replayed: Returns so many training conversations at most.
    made_by: What made the replies; it stands in each row.
    weights: What identifies the weights, such as their sha256s.
    judged: The verdicts by the place of their prompt; skipped: why others were not asked.
    drawn: How many replies this run drew, in so many seconds.
    """

    prompts: Sequence[Prompt]
    drawing: Drawing
    outputs: Outputs
    made_by: Mapping[str, Any]
    weights: Sequence[str]
    draw_replayed: Callable[[int], Sequence[Conversation]]

    def __post_init__(self) -> None:
        self.judged: dict[int, list[JudgedReply]] = {}
        self.skipped: dict[int, str] = {}
        self.tally = Tally()
        self.replayed = 0
        self.log = ReplyLog(self.outputs.save_file, self._inputs())
        self.drawn, self.seconds = 0, 0.0

    def run(self, chat_model: ChatModel, tell: Callable[[str], None] = print) -> None:
        """Draw, judge and write; after an error or an interruption, what was judged until then.

        The same call then goes on after it. `tell` is called with what is kept.
        """
        self.outputs.check()
        kept = self.log.read(chat_model)
        if kept:
            tell(f"{len(kept):,} of {len(self.prompts):,} prompts were replied to before: going on")
        begun, unfinished = time.perf_counter(), self.outputs.unfinished()
        try:
            self._answer(chat_model, kept)
        except BaseException:
            if self.judged:
                self._write(unfinished)
                tell(
                    f"{len(self.judged):,} of {len(self.prompts):,} prompts have their replies; "
                    f"what is right is in {unfinished.save_file}, and the same command goes on"
                )
            raise
        self.seconds = time.perf_counter() - begun
        self._write(self.outputs, self.outputs.replay)
        unfinished.remove()
        self.log.remove()

    def _answer(self, chat_model: ChatModel, kept: Mapping[int, list[DrawnReply]]) -> None:
        """Judge the replies that are kept, draw the others and keep them too."""
        for place, earlier in kept.items():
            self._judge(place, earlier)
        items = [prompt.item for prompt in self.prompts]
        workload = Workload(items)
        for place, replies in with_progress(
            self._drawn(chat_model, kept),
            len(items),
            f"Drawing {self.drawing.count} replies to each prompt",
            work=lambda answered: workload.take(answered[0], _longest(answered[1])),
        ):
            if place in kept:
                continue
            if isinstance(replies, SkippedItem):
                self.skipped[place] = replies.reason
            else:
                self.log.add(place, replies)
                self.drawn += len(replies)
                self._judge(place, replies)

    def _drawn(
        self, chat_model: ChatModel, kept: Mapping[int, list[DrawnReply]]
    ) -> Iterator[Answered]:
        yield from kept.items()
        left = [place for place in range(len(self.prompts)) if place not in kept]
        items = [self.prompts[place].item for place in left]
        for index, replies in draw_replies(chat_model, items, self.drawing):
            yield left[index], replies

    def _judge(self, place: int, replies: Sequence[DrawnReply]) -> None:
        item = self.prompts[place].item
        self.judged[place] = [judge_reply(item, reply) for reply in replies]

    def _write(self, outputs: Outputs, replay: float = 0.0) -> None:
        """Write the files in the order of the prompts, each whole or not at all."""
        self.tally = Tally()
        with ExitStack() as files:
            saved = files.enter_context(new_file(outputs.save_file))
            rows = files.enter_context(saved.open("w", encoding="utf-8"))
            lines = None
            if outputs.verdicts_file:
                verdicts = files.enter_context(new_file(outputs.verdicts_file))
                lines = files.enter_context(verdicts.open("w", encoding="utf-8"))
            for place in sorted(self.judged):
                judged = self.judged[place]
                kept = list(
                    kept_rows(
                        self.prompts[place], judged, outputs.most, outputs.skip_easy, self.made_by
                    )
                )
                self.tally.add(judged, len(kept))
                rows.writelines(map(row_line, kept))
                if lines:
                    lines.writelines(row_line(reply.to_record()) for reply in judged)
            replayed = self.draw_replayed(round(replay * self.tally.kept)) if replay else ()
            rows.writelines(row_line(conversation.to_record()) for conversation in replayed)
            self.replayed = len(replayed)
        with new_file(outputs.report_file) as partial:
            write_json(partial, self.report())

    def report(self) -> dict[str, Any]:
        """Return the JSON object of what was drawn, how, and what came out."""
        asked = {"asked": len(self.prompts), "skipped": len(self.skipped)}
        asked |= {"replayed": self.replayed}
        return {"made_by": dict(self.made_by), **asked, **self.tally.to_record()}

    def _inputs(self) -> dict[str, Any]:
        """Return all that the replies depend on."""
        prompts = [[prompt.id, content_sha256(prompt.item.conversation)] for prompt in self.prompts]
        drawing = asdict(self.drawing)
        # Neither changes what is drawn.
        del drawing["batch_size"], drawing["cuda_graphs"]
        return {"prompts": prompts, "weights": list(self.weights), "drawing": drawing}


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.stem}.unfinished{file.suffix}")


def _longest(replies: list[DrawnReply] | SkippedItem) -> Any:
    """Return the answer that stands for the replies to a prompt in how much work they were."""
    if isinstance(replies, SkippedItem):
        return replies
    return max((reply.answer for reply in replies), key=lambda answer: len(answer.text))
