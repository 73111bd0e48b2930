"""Seeded strings as varied as users' texts: prose, code, scripts, blanks, and special names."""

import random
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = (
    *("<s>", "</s>", "<unk>", "[INST]", "[/INST]", "[TOOL_CALLS]", "<|endoftext|>", "<|im_start|>"),
    *("<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|end|>", "<|user|>", "<|tool_call|>"),
    *("<tool_call>", "</tool_call>", "<0x0A>", "<|", "|>"),
)
BLANKS = (" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", " " * 17)
BITS = (
    *("'s", "'LL", "I'd", "0", "1234567", "3.14", "x+=1", "{", "}", '"', "\\n", "://", "//", "==="),
    *("Ünï", "e\u0301", "\u017f", "ǅ", "ß", "Straße", "東京", "の", "Привет", "مرحبا", "שלום"),
    *("ไทย", "हिन्दी", "🦄", "👩\u200d👩\u200d👧", "🇩🇪", "½"),
    *("\u200b", "\ufeff", "\x00", "\x7f", "\u0378", "\U0010ffff"),
    *("functions.get_weather", '{"city": "Lyon"}', "the", " a", "Hello", "ing", "AAAA", "_"),
)  # fmt: skip


def varied_strings(count: int, seed: int = 0, without: str = "") -> Iterator[str]:
    """Yield strings of up to some hundred characters; `without` names characters to leave out."""
    draw = random.Random(seed)
    files = ("README.md", "DECISIONS.md", "chat/tokenizers/ranks.py")
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in files]
    for number in range(count):
        if number % 3 == 0:
            text = draw.choice(texts)
            start = draw.randrange(len(text))
            made = text[start : start + draw.randrange(400)]
            place = draw.randrange(len(made) + 1)
            made = made[:place] + draw.choice(NAMES) + made[place:]
        elif number % 3 == 1:
            kinds = (NAMES, BLANKS, BITS, BITS)
            length = draw.randrange(30)
            made = "".join(draw.choice(draw.choice(kinds)) for _ in range(length))
        else:
            highest = draw.choice((0x7F, 0x24F, 0xD7FF, 0x10FFFF))
            codes = (draw.randrange(highest + 1) for _ in range(draw.randrange(60)))
            made = "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)
        yield made.translate(dict.fromkeys(map(ord, without)))
