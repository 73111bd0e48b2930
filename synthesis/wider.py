"""The frames of the broad mixture: more of them, and mended ones.

The mixture `plain` keeps the first frames (synthesis/phrasing.py): the demo is trained on its rows.
"""

from synthesis import phrasing
from synthesis.phrasing import Frames

# "My first request" wants a second one, and an order is no question.
_LEFT_OUT = ("is this: {do}", "(question|request|wish) is simple")
_REQUESTS = (
    *(frame for frame in phrasing.REQUEST_FRAMES if not any(part in frame for part in _LEFT_OUT)),
    "what I need is this: {do}.",
    "my (request|wish) is simple: {do}.",
    "(could|can) I ask you to {do}?",
    "(may|could) I bother you with something? {do}(.|, please.)",
    "(I have|there is) (a small|a quick|one) (task|thing) for you: {do}.",
    "(today|now|right now) I'd like you to {do}.",
    "(I could use|I need) (some help|your help)(:|.) {do}(.|, please.)",
    "(please|kindly) {do}(, that would help me a lot|, I can't do it myself|).",
    "{do}, (would you|will you|could you)?",
    "{do}, (if you can|if possible|when you get to it).",
    "(I'm trying to get this done|let's get this done): {do}.",
    "(you could help me a lot|you would save my day)(:|.) {do}(.|, please.)",
    "(would|could) you (take care of something|do something for me)? {do}(.|, please.)",
    "I hope (that |)you can {do}.",
)
_QUESTIONS = (
    *phrasing.QUESTION_FRAMES,
    "(I'd like to know|I want to know|I need to find out): {ask}?",
    "(would|could) you (check|look) for me: {ask}?",
    "(just wondering|out of interest|just to be sure)(,|:) {ask}?",
    "{ask}, (would you know|do you know|by any chance)?",
)
_REFUSALS = (
    *phrasing.REFUSALS[:-1],
    "(that can't be right|there seems to be a mistake|I can't use that): {rule}, and you (wrote|"
    "said) {wrong}. (Please give me the right {noun}.|Could you give me the right {noun}?)",
    "{wrong} (can't be the {noun}|is no {noun} that I can use), (because|since) {rule}. (Do you "
    "have|Can you give me) another one?",
)
WIDER = Frames(_REQUESTS, _QUESTIONS, _REFUSALS, mended=True)
