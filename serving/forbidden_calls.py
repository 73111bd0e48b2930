"""Text that looks like a call where none may be made: shown, but never without being told."""

from chat.formats.call_syntax import CallSyntax

# What begins with so many letters of a call is told; one letter could begin anything.
_LEAST = 2


def forbidden_call(text: str, syntax: CallSyntax, opened: bool) -> str | None:
    """Return why a reply is not read as a call; None where it does not look like one.

    `opened` says that one of the special tokens that write calls stood in it.
    """
    first = "".join(syntax.first_text.split())[:_LEAST]
    begun = bool(first) and "".join(text.split(maxsplit=_LEAST)).startswith(first)
    if opened or begun or syntax.looks_like_call.search(text):
        return "no tool may be called here, and the text looks like a call or the beginning of one"
    return None
