"""Arguments that stand for a value which nobody gave: a model that learns them sends them.

`API_call_0`, `<token>`, `YOUR_EMAIL`, `{user_id}`, `xxxx-xxxx`, `result_from_previous_call`. The
same signs have their place in a template, in HTML and in a shell, where the talk is of these.
"""

import re
from collections.abc import Iterator
from typing import Any

from chat.conversation import Tool

# Placeholders are short; the bound also keeps the time of every expression small.
_LONGEST = 200
_BEARER = re.compile(r"(?:bearer|basic|token|apikey|api-key)[ :=]+", re.I)
# These stand for a value wherever they are: the result of a call that has not been made
# (Seal-Tools, NESTFUL, ReWOO), and what a reader of the documentation should put in.
_ALWAYS = re.compile(
    r"""API_call_\d+
    | \#E\d+
    | \$var_?\d+(?:\.\w+)*\$?
    | <(?:your|insert|enter)\b[^<>]*>
    | \[(?:your|insert|enter)\b[^\[\]]*\]
    | your[_-][\w-]+
    | (?:insert|enter)[_-](?:your[_-][\w-]+|\w[\w-]*[_-]here)
    | (?:\w+[_-])?(?:key|token|password|secret|email|url|id)[_-]here
    """,
    re.X | re.A | re.I,
)
# How a placeholder begins, or what is in it; looked for first, because it is quick.
_BEGINNING = re.compile(r"[#$<{\[]|your|insert|enter|api|bearer|basic|token", re.I)
_INSIDE = ("_here", "-here", "xx", "_of_", "-of-", "_from_", "-from-")
_BRACES = re.compile(r"\{\{\s*\w[\w.]*\s*\}\}|\{[^\W\d]\w*(?:\.\w+)*\}", re.A)
_DOLLAR = re.compile(r"\$\{\w[\w.]*\}", re.A)
_ANGLES = re.compile(r"<([^\W\d]\w+)((?:[ -]\w+)*)>", re.A)
_CROSSES = re.compile(r"(?:[a-z]{2,8}[-_])?(?:x{4,}|x{2,}(?:[-_ ./]x{2,})+)", re.I)
_WORD = re.compile(r"[a-z0-9]+")
_OUTCOMES = {"result", "results", "output", "outputs", "response", "value", "answer"}
_PLACES = {"call", "step", "tool", "function"}
_EARLIER = {"previous", "prior", "preceding", "earlier"}
# Words of a talk in which the signs mean themselves.
_TOPICS = {
    "templates": re.compile(
        r"templat|placeholder|merge ?(?:field|tag)|mail ?merge|mustache|handlebars|jinja|interpolat"
        r"|\bvariables?\b|format string|snippet|personali[sz]|substitut",
        re.I,
    ),
    "shells": re.compile(r"\bshell\b|\bbash\b|\benv(?:ironment)?\b|\bscript|command line", re.I),
    "markup": re.compile(r"\b(?:html|xml|svg|jsx|markup|tags?|elements?|generics?)\b", re.I),
    "masks": re.compile(
        r"\bmask|\bredact|\bcensor|\bpattern|\bformat|anonymi|\bx(?:es|'s)\b", re.I
    ),
}
_SHELL_VARIABLES = {"HOME", "PATH", "PWD", "USER", "SHELL", "LANG", "TMPDIR", "HOSTNAME"}
# Those elements of HTML whose names are not what one calls a value.
_HTML_NAMES = """
a abbr article aside audio b base body br button canvas caption center cite col dd del details
dialog div dl dt em embed fieldset figcaption figure font footer form frame h1 h2 h3 h4 h5 h6 head
header hr html i iframe img input ins kbd legend li link main map mark menu meta nav noscript ol
optgroup option p param path picture pre progress q rect s samp script section select small span
strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time title
tr track tt u ul var video wbr
"""
_HTML = frozenset(_HTML_NAMES.split())


def topics_of(text: str) -> frozenset[str]:
    """Return which of templates, shells, markup and masks a text talks of."""
    return frozenset(topic for topic, words in _TOPICS.items() if words.search(text))


def topics_of_tool(tool: Tool) -> frozenset[str]:
    """Return what a tool's name, its description and the names of its parameters talk of."""
    names = " ".join(tool.parameters.get("properties", {}))
    return topics_of(f"{tool.name} {tool.description} {names}".replace("_", " "))


def may_be_placeholder(text: str) -> bool:
    """Whether a text is a placeholder, should the talk be of nothing that speaks against it."""
    if len(text) > _LONGEST:
        return False
    if not _BEGINNING.match(text):
        lower = text.lower()
        if not any([part in lower for part in _INSIDE]):
            return False
    return is_placeholder(text, text.strip("<>"), frozenset())


def is_placeholder(text: str, name: str, topics: frozenset[str]) -> bool:
    """Whether a whole argument of at most 200 characters stands for a value that nobody gave.

    Args:
        text: The argument.
        name: What the argument, or the member that holds it, is called.
        topics: What is talked of before the call and by its tool.
    """
    text = _BEARER.sub("", text, count=1) if _BEARER.match(text) else text
    if _ALWAYS.fullmatch(text) or _is_earlier_result(text):
        return True
    if _BRACES.fullmatch(text):
        return "templates" not in topics
    if _DOLLAR.fullmatch(text):
        return text[2:-1] not in _SHELL_VARIABLES and not topics & {"shells", "templates"}
    if _CROSSES.fullmatch(text):
        return "masks" not in topics
    found = _ANGLES.fullmatch(text)
    if found is None:
        return False
    if found[1].lower() in _HTML:
        # `<title>` as a title is no HTML.
        return not found[2] and found[1].lower() == name.lower()
    return not topics & {"markup", "templates"}


def _is_earlier_result(text: str) -> bool:
    """Whether a text is made of words like `result_from_previous_call`, and of nothing else."""
    if " " in text or not ("_" in text or "-" in text):
        return False
    words = _WORD.findall(text.lower())
    link = next((i for i, word in enumerate(words) if word in ("of", "from")), None)
    if link is None or len("".join(words)) < len(re.sub(r"[_-]", "", text)):
        return False
    before, after = set(words[:link]), set(words[link + 1 :])
    return bool(after & _EARLIER) or bool(before & _OUTCOMES and after & _PLACES)


def named_texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON value, each with the name of the member that holds it."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from named_texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from named_texts(inner, name)
