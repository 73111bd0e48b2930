"""Where a conversation says some texts for the first time, all of them found in one pass."""

from collections import deque
from collections.abc import Collection, Iterator

from chat.conversation import Conversation


def first_places(texts: Collection[str], conversation: Conversation) -> dict[str, int]:
    """Return the number of the first message whose content holds a text, for each that is said."""
    search = _Search(texts)
    found: dict[str, int] = {}
    for place, message in enumerate(conversation.messages):
        for text in search.new_in(message.content):
            found[text] = place
    return found


class _Search:
    """Finds many texts in one pass (Aho and Corasick's automaton), each of them once.

    nodes: A node for each beginning of a text, with the nodes that one letter more leads to.
    shorter: For each node that of its longest ending which is a beginning of a text too.
    ends: The texts that end at a node and were not found yet.
    inner: For each node the nearest of its endings at which a text ends; 0 for none.
    """

    def __init__(self, texts: Collection[str]) -> None:
        self.nodes: list[dict[str, int]] = [{}]
        self.ends: dict[int, str] = {}
        for text in texts:
            node = 0
            for letter in text:
                if letter not in self.nodes[node]:
                    self.nodes[node][letter] = len(self.nodes)
                    self.nodes.append({})
                node = self.nodes[node][letter]
            self.ends[node] = text
        self.shorter, self.inner = [0] * len(self.nodes), [0] * len(self.nodes)
        self._link()

    def _link(self) -> None:
        waiting = deque(self.nodes[0].values())
        while waiting:
            node = waiting.popleft()
            ending = self.shorter[node]
            self.inner[node] = ending if ending in self.ends else self.inner[ending]
            for letter, longer in self.nodes[node].items():
                self.shorter[longer] = self._next(ending, letter)
                waiting.append(longer)

    def _next(self, node: int, letter: str) -> int:
        while node and letter not in self.nodes[node]:
            node = self.shorter[node]
        return self.nodes[node].get(letter, 0)

    def new_in(self, content: str) -> Iterator[str]:
        """Yield the texts in a content that were in none before."""
        node = 0
        for letter in content:
            node = self._next(node, letter)
            ending = node if node in self.ends else self.inner[node]
            # Where one was found before, so were its endings.
            while ending and ending in self.ends:
                yield self.ends.pop(ending)
                ending = self.inner[ending]
