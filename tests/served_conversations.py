"""Conversations that a model has learned by heart, and that model."""

from functools import cache

from speaking_model import TOKENIZER, learn_by_heart

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.tokenizers.tokenizer import load_tokenizer
from inference.chat_model import ChatModel

# Its prompts are short.
FORMAT = "llama3_short"
CITY = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Lyon", "Oslo"]}}}
WEATHER = Tool("weather", "The weather", {**CITY, "required": ["city"]})
TIME = Tool("time", "The time", {"type": "object", "properties": {}})
LYON, OSLO = ToolCall("weather", {"city": "Lyon"}), ToolCall("weather", {"city": "Oslo"})
CALL_TEXT = '{"tool_uses": [{"recipient_name": "functions.time", "parameters": {}}]}'
RESULTS = {"Lyon": "dry", "Oslo": "wet"}


def asked(question: str, answer: str, calls: tuple[ToolCall, ...]) -> Conversation:
    """A question, the calls that answer it, their results, the answer; both calls are learnt."""
    both = len(calls) == 2
    results = (Message("tool", RESULTS[call.arguments["city"]]) for call in calls)
    reply = Message("assistant", "", calls, trained=both)
    messages = (Message("user", question), reply, *results, Message("assistant", answer))
    return Conversation(messages, (WEATHER, TIME))


QUESTION, IN_JSON = "Rain in Lyon and Oslo?", "How wet are Lyon and Oslo?"
# By the question and the number of calls.
ANSWERS = {
    (QUESTION, 2): "Dry in Lyon, wet in Oslo.",
    (QUESTION, 1): "Dry in Lyon, Oslo I did not ask.",
    (IN_JSON, 2): '{"wet": 1}',
    (IN_JSON, 1): '{"wet": 0}',
}
RAIN = [
    asked(question, answer, (LYON, OSLO)[:count]) for (question, count), answer in ANSWERS.items()
]
HELLO = Conversation(
    (Message("user", "Hi"), Message("assistant", "Hello there, how are you today?"))
)
RING = Conversation((Message("user", "Ring it."), Message("assistant", CALL_TEXT)))
LEARNED = (*RAIN, HELLO, RING)


@cache
def learned_model() -> ChatModel:
    """Return the model that has learned them."""
    model = learn_by_heart(LEARNED, chat_format=FORMAT).requires_grad_(False)
    return ChatModel(model, load_tokenizer(TOKENIZER), FORMATS[FORMAT])
