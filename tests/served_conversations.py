"""Conversations that a model has learned by heart, and that model."""

from functools import cache

from speaking_model import TOKENIZER, learn_by_heart

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.tokenizers.tokenizer import load_tokenizer
from inference.chat_model import ChatModel

CITY = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Lyon", "Oslo"]}}}
WEATHER = Tool("weather", "The weather", {**CITY, "required": ["city"]})
TIME = Tool("time", "The time", {"type": "object", "properties": {}})
LYON, OSLO = ToolCall("weather", {"city": "Lyon"}), ToolCall("weather", {"city": "Oslo"})
CALL_TEXT = '{"tool_uses": [{"recipient_name": "functions.time", "parameters": {}}]}'
RAIN = Conversation(
    (
        Message("user", "Rain in Lyon and Oslo?"),
        Message("assistant", "", (LYON, OSLO)),
        Message("tool", "dry"),
        Message("tool", "wet"),
        Message("assistant", "Dry in Lyon, wet in Oslo."),
    ),
    (WEATHER, TIME),
)
LYON_ALONE = Conversation(
    (
        *RAIN.messages[:1],
        Message("assistant", "", (LYON,), trained=False),
        Message("tool", "dry"),
        Message("assistant", "Dry in Lyon, Oslo I did not ask."),
    ),
    (WEATHER, TIME),
)
HELLO = Conversation(
    (Message("user", "Hi"), Message("assistant", "Hello there, how are you today?"))
)
RING = Conversation((Message("user", "Ring it."), Message("assistant", CALL_TEXT)))
LEARNED = (RAIN, LYON_ALONE, HELLO, RING)


@cache
def learned_model() -> ChatModel:
    """Return the model that has learned them."""
    model = learn_by_heart(LEARNED).requires_grad_(False)
    return ChatModel(model, load_tokenizer(TOKENIZER), FORMATS["llama3"])
