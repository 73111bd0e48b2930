"""Texts on which tokenizers tend to differ: scripts, digits, white space, special tokens."""

import random

WORDS = ("hello", "Hello", "HELLO", "HelloWorld", "get_weather", "ab", "abab", "\u01c5")
SHORT_FORMS = ("don't", "DON'T", "I'll", "l'\u00e9t\u00e9", "e\u0301t\u00e9", "'\u017f", "\u212a")
NUMBERS = ("1", "12", "1234567", "3.14", "\u0663\u0664", "\u2167", "\u00bd")
SIGNS = ("{", '{"a": [1, 2]}', "}\n", "//", "!!", "-->", "\x00", "\ufffd", "\u2581", "\u0120")
SPACES = ("\n", "\n\n", "\r\n", "\t", " ", "  ", "    ", "\u00a0", "\u3000")
SCRIPTS = ("日本語", "नमस्ते", "สวัสดี", "Привет", "مرحبا", "🙂", "👩‍👩‍👧", "\uff46\uff55\uff4c\uff4c")
SPECIAL = ("<|im_start|>", "<|user|>", "<unk>", "<s>", "</s>", "<0x0A>")
PIECES = (*WORDS, *SHORT_FORMS, *NUMBERS, *SIGNS, *SPACES, *SCRIPTS, *SPECIAL)


def varied_texts(count: int) -> list[str]:
    """Return texts of the pieces above in seeded order, with and without spaces between."""
    chance = random.Random(7)
    return [
        "".join(
            chance.choice(PIECES) + chance.choice(("", " ", " ", "\n"))
            for _ in range(chance.randint(1, 9))
        )
        for _ in range(count)
    ]
