"""The search for many texts in one pass finds what Python's `in` finds."""

import random

from chat.conversation import Conversation, Message
from data.cleaning.first_mentions import first_places


def test_texts_are_found_in_the_first_message_that_holds_them() -> None:
    draw = random.Random(1)
    for _ in range(300):
        texts = {"".join(draw.choices("ab<", k=draw.randrange(1, 5))) for _ in range(6)}
        said = ["".join(draw.choices("ab<", k=draw.randrange(12))) for _ in range(5)]
        expected = {
            text: next(i for i, content in enumerate(said) if text in content)
            for text in texts
            if any(text in content for content in said)
        }
        conversation = Conversation(tuple(Message("user", content) for content in said))
        assert first_places(texts, conversation) == expected
