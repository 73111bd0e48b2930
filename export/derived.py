"""What llama.cpp reads of each chat format: it derives how calls are read from the chat template.

Nothing here restates how. The rows were recorded from llama.cpp itself with the templates of this
project (tests/export/llama_cpp.json), and hold for exactly these texts.
"""

from hashlib import sha256
from typing import NamedTuple

from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.template import chat_template
from export.servers import row_name
from export.shapes import SHAPES


class Derived(NamedTuple):
    """The shapes of replies that llama.cpp loses, and the hash of the template recorded with."""

    template: str
    lost: tuple[str, ...] = ()


def template_hash(format: ChatFormat) -> str:
    """Return a hash of a format's chat template, its settings left at their defaults."""
    text = chat_template(FORMATS[row_name(format)])
    return sha256(text.encode("utf-8")).hexdigest()[:16]


def derived_losses(format: ChatFormat) -> Derived | None:
    """Return what llama.cpp loses of a format; None where that was not recorded."""
    row = DERIVED.get(row_name(format))
    return row if row is not None and row.template == template_hash(format) else None


# A reply of these shapes is answered with an error.
_BRACES = ("text that is JSON", "text with braces")
_CALLS = tuple(name for name, turn in SHAPES if turn.tool_calls)
# With tools in the request, a reply of any shape but this is answered with an error.
_ALL = tuple(name for name, _ in SHAPES if name != "empty reply")

DERIVED: dict[str, Derived] = {
    "llama3": Derived("f9f3fba363a1bbab", _ALL),
    "llama3_short": Derived("790ec11caf74b748", _ALL),
    "llama3_1": Derived("7c09af66b3da2c86", _BRACES),
    "llama3_for_tool": Derived("2591a259d3c9a948", _BRACES),
    "qwen2_5": Derived("d4ceb2a98f28927c"),
    "qwen3": Derived("9bea1c7565247e74"),
    "hermes": Derived("c0e19a1752d2fea1"),
    "hermes_short": Derived("e9ef998897b6f1da"),
    "qwen2_for_tool": Derived("cc9b1592c86fef0e", _BRACES),
    "mistral_v1": Derived("a326aa2b0f34c442"),
    "mistral_v3": Derived("f47be0755b97e795"),
    "mistral_tekken": Derived("f47be0755b97e795"),
    "glaive_text": Derived("9638fed7ac20b67b"),
    # Its calls stay in the text of the reply.
    "phi3_xlam": Derived("83e5efa4c869511e", _CALLS),
    "tool_call_tags": Derived("04340a359c469c35", _ALL),
}
