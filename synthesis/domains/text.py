"""Text: count, pick, change case, sort."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Domain, Instead, declare
from synthesis.kinds import Kind, number, one_of, several

Text = Annotated[str, Kind("text", lambda dice: pools.words(dice, 3, 8))]
Case = Annotated[
    Literal["upper", "lower", "title", "snake", "kebab"], Instead(("wobbly", "gothic", "zigzag"))
]


def count_words(text: Text) -> dict[str, Any]:
    """Count the words and characters of a text.

    Args:
        text: The text to count.
    """
    words = text.split()
    return {
        "words": len(words),
        "characters": len(text),
        "longest_word": max(words, key=len, default=""),
    }


def get_word(
    text: Text, position: Annotated[int, number("position", 1, 9)], from_end: bool = False
) -> dict[str, Any]:
    """Get the word at a position of a text.

    Args:
        text: The text.
        position: Which word, counted from 1.
        from_end: Whether to count from the last word backwards.
    """
    words = text.split()
    if position > len(words):
        raise ValueError(f"the text has only {len(words)} words, number {position} was asked for")
    word = words[-position] if from_end else words[position - 1]
    return {"word": word, "letters": len(word)}


def change_case(text: Text, style: Case) -> dict[str, Any]:
    """Rewrite a text in another case.

    Args:
        text: The text to change.
        style: The case that is wanted; snake and kebab join the words by _ and -.
    """
    changed = {
        "upper": text.upper(),
        "lower": text.lower(),
        "title": text.title(),
        "snake": "_".join(text.lower().split()),
        "kebab": "-".join(text.lower().split()),
    }
    return {"changed": changed[style]}


def sort_words(
    words: Annotated[list[str], several(one_of("word", pools.TOPICS), "words", 3, 6)],
    descending: bool = False,
    by_length: bool = False,
) -> dict[str, Any]:
    """Sort a list of words.

    Args:
        words: The words to sort.
        descending: Whether the last word comes first.
        by_length: Whether short words come before long ones, whatever their letters.
    """
    key = (lambda word: (len(word), word)) if by_length else (lambda word: (0, word))
    ordered = sorted(words, key=key, reverse=descending)
    return {"words": ordered, "first": ordered[0]}


DOMAIN = Domain(
    "text",
    (
        declare(
            count_words,
            do=(
                "count the (words|characters|words and characters) (of|in) '{text}'",
                "(find out|tell me) how (long|many words) (this is|this has): '{text}'",
                "count the (words|characters) (of|in) (a|this) text",
            ),
            ask=("how many (words|characters|letters and spaces) (has|are in) '{text}'",),
            answer=(
                "The text has {words} words and {characters} characters.",
                "(I count|There are) {words} words; with spaces, {characters} characters.",
            ),
            more=(("which word is the longest", "the longest word is '{longest_word}'"),),
        ),
        declare(
            get_word,
            do=(
                "(get|give me|pick out) word number {position}[?from_end , counted from the end,] "
                "(of|from) '{text}'",
                "(tell me|find) the word at position {position}[?from_end  from the end] in "
                "'{text}'",
                "(get|pick out) a word[?from_end , counted from the end,] (of|from) '{text}'",
            ),
            ask=("(what is|which is) word number {position}[?from_end  from the end] in '{text}'",),
            answer=("(It is|That is|The word is) '{word}'.",),
            more=(("how many letters has it", "it has {letters} letters"),),
            slips=("position",),
        ),
        declare(
            change_case,
            do=(
                "(write|put|rewrite) '{text}'[ in {style} case]",
                "(turn|convert|change) '{text}' (to|into) {style} case",
            ),
            ask=("what does '{text}' look like in {style} case",),
            answer=(
                "In {style} case (it is|that is|it reads) '{changed}'.",
                "Here it is: '{changed}'.",
            ),
        ),
        declare(
            sort_words,
            do=(
                "sort (these words|this list|the following)[?by_length  by length]"
                "[?descending  in descending order]: {words}",
                "(put|bring) {words} in (order|the right order)[?by_length , by length]"
                "[?descending , last first]",
                "(sort|order) (a few|some) words[?by_length  by length][?descending  backwards]",
            ),
            answer=(
                "(Sorted|In order): {words}.",
                "The order is {words}.",
            ),
            more=(("which one comes first", "'{first}' comes first"),),
        ),
    ),
    reasons=(
        "I'm (editing|proofreading|cleaning up) a (document|draft|page)",
        "This is for a (form|headline|poster) with (strict|silly) rules",
        "My (editor|teacher|boss) is (picky|strict|waiting)",
        "I (copied|pasted) this from (an e-mail|a website|a table)",
        "My eyes (are tired|hurt)",
    ),
)
