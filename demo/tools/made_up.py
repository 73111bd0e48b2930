"""A thousand tools with names that mean little, so that a model learns to read what is offered."""

from collections.abc import Iterator
from pathlib import Path

from demo.making.text.lexicon import SEEN
from demo.making.text.names import Words
from demo.making.text.tools import draw_domain
from synthesis.custom import read_tools_file
from synthesis.declaration import Domain
from synthesis.dice import Dice

FIELDS = 50
TOOLS_IN_A_FIELD = 20


def _domains() -> Iterator[Domain]:
    # Names of the other files' tools are left out, so that all names here are new.
    others = (read_tools_file(Path(__file__).with_name(f)) for f in ("everyday.py", "unseen.py"))
    taken = frozenset(
        tool.name for domains in others for domain in domains for tool in domain.tools
    )
    for field in range(FIELDS):
        words = Words(Dice("made up", field), SEEN)
        domain = draw_domain(words, f"made_up_{field}", TOOLS_IN_A_FIELD, taken)
        taken |= {tool.name for tool in domain.tools}
        yield domain


DOMAINS = list(_domains())
