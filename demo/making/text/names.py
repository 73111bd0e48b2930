"""Names that hardly repeat: made of words, of syllables, or of pieces of the vocabulary itself.

To learn to copy names it never saw, a model needs names that do not repeat in training. Pieces of
the vocabulary, joined at random, make it copy every token, the rare ones too.
"""

from collections.abc import Sequence

from demo.making.text.lexicon import Lexicon
from synthesis.dice import Dice
from synthesis.pools import listed

_ONSETS = listed(
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sc sh sk sl sm sn sp "
    "st str t th tr v w wh y z"
)
_VOWELS = listed("a a e e i i o o u ai ea ee io oa oo ou y")
_CODAS = listed("b ck d g l ll m n nd ng nt p r rd rk rn s ss st t th v x z")
_JOINTS = ("_", "-", " ", "")


class Words:
    """Draws words of one lexicon, and names made of them.

    `pieces` are texts of the vocabulary's tokens, letters only; without them names are made of
    words and syllables. With probability `strange` a noun, verb or adjective is an invented word:
    a model may predict known words from memory, and has to read the invented ones.
    """

    def __init__(
        self, dice: Dice, lexicon: Lexicon, pieces: Sequence[str] = (), strange: float = 0.0
    ) -> None:
        self.dice = dice
        self.lexicon = lexicon
        self.pieces = pieces
        self.strange = strange

    def with_dice(self, dice: Dice) -> "Words":
        """Return the same words, drawn with other dice."""
        return Words(dice, self.lexicon, self.pieces, self.strange)

    def noun(self) -> str:
        """Return a noun in the singular."""
        return self._word(self.lexicon.nouns)

    def verb(self) -> str:
        """Return a verb as it stands in a request."""
        return self._word(self.lexicon.verbs)

    def adjective(self) -> str:
        """Return an adjective."""
        return self._word(self.lexicon.adjectives)

    def _word(self, known: Sequence[str]) -> str:
        dice = self.dice
        if not self.strange or not dice.chance(self.strange):
            return dice.choice(known)
        if dice.chance(0.5):
            # the start of one known word and the end of another look like a word
            first, second = dice.choice(known), dice.choice(self.lexicon.nouns)
            return first[: dice.between(2, 4)] + second[-dice.between(2, 4) :]
        if self.pieces and dice.chance(0.5):
            return "".join(dice.choice(self.pieces) for _ in range(2)).lower()
        return dice.choice(_ONSETS) + dice.choice(_VOWELS) + dice.choice(_CODAS)

    def thing(self) -> str:
        """Return one to two words for a thing: 'parcel', 'green parcel', 'parcel label'."""
        first = self.dice.choice((self.noun, self.adjective, lambda: ""))()
        noun = self.noun()
        return f"{first} {noun}" if first and first != noun else noun

    def invented(self) -> str:
        """Return a word that is in no dictionary, in small letters."""
        dice = self.dice
        if self.pieces and dice.chance(0.4):
            return "".join(dice.choice(self.pieces) for _ in range(dice.between(2, 4))).lower()
        word = ""
        for _ in range(dice.between(1, 3)):
            word += dice.choice(_ONSETS) + dice.choice(_VOWELS)
        return word + dice.choice(_CODAS) if dice.chance(0.6) else word

    def identifier(self) -> str:
        """Return a name as programs have them: 'find_parcel', 'openGrunt', 'parcel-list'."""
        dice = self.dice
        words = [self._any_word() for _ in range(dice.between(1, 3))]
        if dice.chance(0.2):
            return words[0] + "".join(word.capitalize() for word in words[1:])
        return dice.choice(("_", "_", "_", "-")).join(words)

    def proper(self) -> str:
        """Return a name of one or two words, as people, places and products have them."""
        dice = self.dice
        words = [self._any_word() for _ in range(dice.between(1, 2))]
        return " ".join(words).title() if dice.chance(0.7) else " ".join(words)

    def code(self) -> str:
        """Return a code such as 'TRK-48213'."""
        dice = self.dice
        letters = "".join(
            dice.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(dice.between(1, 3))
        )
        return f"{letters}{dice.choice(('-', '-', '', '/'))}{dice.between(10, 99999)}"

    def unknown(self) -> str:
        """Return a name of several invented words or pieces: at least two, joined somehow."""
        dice = self.dice
        count = dice.between(2, 3)
        return dice.choice(_JOINTS).join(self.invented() for _ in range(count))

    def _any_word(self) -> str:
        dice = self.dice
        kind = dice.choice((self.noun, self.noun, self.adjective, self.verb, self.invented))
        return kind()
