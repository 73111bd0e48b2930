"""The grammar of replies for constrained decoding, made of the facts of a call syntax."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chat.formats.call_syntax import ENCODER, CallSyntax


@dataclass(frozen=True)
class CallGrammar:
    """A grammar of replies, in the dialect of Lark that llguidance reads.

    opening: The text with which calls begin.
    free: The right side of a rule: any text, with calls after `opening` if it occurs.
    forced: The right side of a rule: calls only.
    rules: The rules that both use; `arguments_0` stands for the arguments of the first tool, and
        `token_0` for the first of the syntax's special tokens.
    """

    opening: str
    free: str
    forced: str
    rules: str


# As Python's `\s`, which Lark's lacks in part.
_SPACE = r"[\s\x1c-\x1f]*"
_ANYTHING = "(?s:.*)"


def call_grammar(
    syntax: CallSyntax, names: Sequence[str], blank: bool = False, single: bool = False
) -> CallGrammar:
    """Return the grammar of any text with calls of these tools after it.

    `blank` says that the tokens of a text may begin with a blank that is none of the text's;
    `single` allows one call and no more.
    """
    special = bool(syntax.opening) and not syntax.first_text
    opening = _sequence(syntax, syntax.opening, blank)
    leading = '" "? ' if blank and not special else ""
    forced = f"{leading}{opening} calls".strip()
    rules = [*_text_rules(syntax)]
    if not names or not syntax.starts:
        return CallGrammar(_begins_with(syntax), "answer", forced, "\n".join(rules))
    if special:
        rules += ["text: TEXT", f"opened: {opening}"]
        free = "text | text? opened calls" if syntax.joint is not None else "text | opened calls"
    elif syntax.opening:
        text = f"(TEXT {_lark(syntax.joint)})? " if syntax.joint is not None else leading
        rules += [f"OPENED: {text}{_lark(syntax.opening)}", "opened[lazy]: OPENED"]
        free = "answer | opened calls"
    else:
        free = f"answer | {leading}calls"
    rules += _call_rules(syntax, names, blank, single)
    return CallGrammar(_begins_with(syntax), free, forced, "\n".join(rules))


def _begins_with(syntax: CallSyntax) -> str:
    """Return the text with which calls begin, of a special token its name."""
    for token in syntax.special_tokens:
        if syntax.opening.startswith(token):
            return token
    return syntax.opening or syntax.object_start("").partition('""')[0]


def _text_rules(syntax: CallSyntax) -> Iterator[str]:
    """Yield the rules of text: TEXT holds nothing that is read as a call or as its beginning."""
    starts = "|".join(_SPACE.join(map(_pattern, start.split())) for start in syntax.starts)
    before = _SPACE if syntax.begins == "reply" else _ANYTHING
    unlike = f" & ~/{before}({starts}){_ANYTHING}/" if starts else ""
    yield f"TEXT: /{_ANYTHING}/{unlike}"
    beginnings = _beginnings(syntax)
    if beginnings:
        line = _SPACE if syntax.begins == "reply" else rf"({_ANYTHING}\n|{_SPACE})"
        yield f"CUT: /{line}({'|'.join(beginnings)}){_SPACE}/"
    yield "answer: ANSWER"
    yield f"ANSWER: TEXT{' & ~CUT' if beginnings else ''}"


def _beginnings(syntax: CallSyntax) -> list[str]:
    """Return the patterns of what a call begins with that is too short to be one of `starts`."""
    text = syntax.first_text
    starts = ("".join(start.split()) for start in syntax.starts)
    whole = min((len(start) for start in starts if text.startswith(start)), default=0)
    return [_pattern(text[:length]) for length in range(3, whole)]


def _call_rules(
    syntax: CallSyntax, names: Sequence[str], blank: bool, single: bool
) -> Iterator[str]:
    between, closing = (_sequence(syntax, text, blank) for text in (syntax.between, syntax.closing))
    more = f" ({between} call)*" if syntax.between and not single else ""
    yield f"calls: call{more} {closing}".rstrip()
    yield f"call: {' | '.join(f'call_{i}' for i in range(len(names)))}"
    ending = _lark("}") if syntax.name_key else ""
    for i, name in enumerate(names):
        yield f"call_{i}: {_lark(syntax.object_start(name))} arguments_{i} {ending}".rstrip()


def _sequence(syntax: CallSyntax, text: str, blank: bool) -> str:
    """Return a string of the syntax in Lark, each special token by the name of its rule."""
    if not syntax.special_tokens:
        return _lark(text) if text else ""
    names = "|".join(map(re.escape, syntax.special_tokens))
    parts, after_token = list[str](), False
    for part in filter(None, re.split(f"({names})", text)):
        is_token = part in syntax.special_tokens
        if is_token:
            parts.append(f"token_{syntax.special_tokens.index(part)}")
        else:
            parts += ['" "?'] * (blank and after_token) + [_lark(part)]
        after_token = is_token
    return " ".join(parts)


def _pattern(text: str) -> str:
    return re.escape(text).replace("/", r"\/")


def _lark(text: str) -> str:
    return ENCODER.encode(text)
