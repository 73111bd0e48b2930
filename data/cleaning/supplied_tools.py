"""Tools from a file of their own, for conversations that declare none."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chat.conversation import Tool
from data.outcomes import Change, Draft
from data.reading.turns import Turns
from data.reading.written_turns import read_written
from storage.manifest import sha256_of_file


@dataclass(frozen=True)
class SuppliedTools:
    """All tools of a file; ValueError where two have one name."""

    file: Path
    tools: tuple[Tool, ...]

    def __post_init__(self) -> None:
        counts = Counter(tool.name for tool in self.tools)
        for name, count in counts.items():
            if count > 1:
                raise ValueError(
                    f"--tools-file {self.file} declares {name} {count} times; keep one"
                )

    def describe(self) -> dict[str, Any]:
        """Return what the report says of the file."""
        sha256 = sha256_of_file(self.file)
        return {"file": self.file.name, "sha256": sha256, "tools": len(self.tools)}

    def add_to(self, draft: Draft) -> Draft:
        """Offer all tools where the row declares none: it does not say which there were."""
        if draft.conversation.tools:
            return draft
        after = f"{len(self.tools)} tools of {self.file.name}"
        offered = self._offered(draft)
        change = Change("supplied-tools", "/tools", None, after)
        rejected = self._offered(draft.rejected, "/rejected") if draft.rejected else None
        return replace(offered, changes=(change, *offered.changes), rejected=rejected)

    def _offered(self, draft: Draft, where: str = "") -> Draft:
        """Return a draft with the tools, and the calls of them that its texts hold."""
        found = read_written(Turns(draft.conversation.messages), self.tools)
        conversation = replace(draft.conversation, messages=found.messages, tools=self.tools)
        changes = (replace(change, pointer=where + change.pointer) for change in found.changes)
        return Draft(conversation, (*draft.changes, *changes))
