"""Tokenizers: round trips, special tokens, and the files that are refused."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from tokenizers import Tokenizer as HuggingFaceTokenizer

from chat.tokenizers.ordinary_text import LONGEST_RUN
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.special_tokens import SPECIAL_TABLES
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer

SPECIAL_TEXT = st.sampled_from([*SPECIAL_TABLES["llama3"][:12], *SPECIAL_TABLES["llama3_1"][:12]])
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
MIXED = st.lists(UNICODE | SPECIAL_TEXT | st.text(" \t\r\n's12ab<|>"), max_size=8).map("".join)
BRIEF = tries(150)


@pytest.fixture(scope="module")
def oracle(shared: Path, llama3: TiktokenTokenizer) -> HuggingFaceTokenizer:
    """Llama 3's tokenizer as Transformers builds it from the same file, with its own pattern."""
    from transformers.convert_slow_tokenizer import TikTokenConverter

    file = shared / "tokenizers" / "llama3" / "tokenizer.model"
    names = list(llama3.special_tokens)
    return TikTokenConverter(str(file), extra_special_tokens=names).converted()


@pytest.fixture(
    scope="module", params=["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"]
)
def mistral(shared: Path, request: pytest.FixtureRequest) -> Tokenizer:
    return load_tokenizer(shared / "tokenizers" / "mistral_sentencepiece" / request.param)


class TestTiktoken:
    @BRIEF
    @given(text=MIXED)
    def test_any_unicode_text_survives(self, byte_tokenizer: Tokenizer, text: str) -> None:
        assert byte_tokenizer.decode(byte_tokenizer.encode(text)) == text

    @BRIEF
    @given(text=MIXED)
    def test_no_text_becomes_a_special_token(self, byte_tokenizer: Tokenizer, text: str) -> None:
        special = set(byte_tokenizer.special_tokens.values())
        assert special.isdisjoint(byte_tokenizer.encode(text))

    def test_special_name_encodes_as_text_and_its_id_decodes_back(
        self, byte_tokenizer: Tokenizer
    ) -> None:
        for name, token in byte_tokenizer.special_tokens.items():
            assert len(byte_tokenizer.encode(name)) > 1
            assert byte_tokenizer.decode([token]) == name

    def test_part_of_a_character_decodes_to_the_replacement_character(
        self, byte_tokenizer: Tokenizer
    ) -> None:
        tokens = byte_tokenizer.encode("aé")
        assert byte_tokenizer.decode(tokens[:2]) == "a\ufffd"

    def test_numpy_ids_are_decoded(self, byte_tokenizer: Tokenizer) -> None:
        tokens = np.array(byte_tokenizer.encode("hello"), dtype=np.uint32)
        assert byte_tokenizer.decode(tokens) == "hello"  # type: ignore[arg-type]

    @pytest.mark.parametrize("token", [-1, 522])
    def test_unknown_id_is_refused(self, byte_tokenizer: Tokenizer, token: int) -> None:
        assert byte_tokenizer.vocab_size == 256 + 10 + 256
        with pytest.raises(ValueError, match=rf"token id {token} is not in .*0 to 521"):
            byte_tokenizer.decode([65, token])

    def test_lone_surrogate_is_refused(self, byte_tokenizer: Tokenizer) -> None:
        with pytest.raises(ValueError, match=r"lone surrogate U\+D83D at character 2"):
            byte_tokenizer.encode("ab\ud83d")

    def test_tokenizer_has_the_sha256_of_its_file(self, byte_tokenizer: Tokenizer) -> None:
        content = byte_tokenizer.path.read_bytes()
        assert byte_tokenizer.sha256 == hashlib.sha256(content).hexdigest()

    def test_directory_loads_the_tokenizer_file_in_it(
        self, byte_tokenizer: Tokenizer, ranks_file: Path
    ) -> None:
        assert load_tokenizer(ranks_file.parent).sha256 == byte_tokenizer.sha256

    def test_blank_lines_and_windows_line_ends_are_read(
        self, byte_tokenizer: Tokenizer, ranks_file: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "ranks"
        file.write_bytes(ranks_file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
        assert load_tokenizer(file).encode("role in") == byte_tokenizer.encode("role in")


class TestLongRuns:
    @pytest.mark.parametrize("character", ["a", " ", "\n", "!", "7", "漢", "🦄", "\u3000"])
    def test_long_run_of_one_character_survives(
        self, byte_tokenizer: Tokenizer, character: str
    ) -> None:
        text = character * (LONGEST_RUN + 7)
        assert byte_tokenizer.decode(byte_tokenizer.encode(text)) == text


class TestLlama3:
    def test_llama3_file_has_the_published_hash_and_ids(self, llama3: Tokenizer) -> None:
        assert llama3.sha256.startswith("82e9d31979e92ab9")
        assert llama3.vocab_size == 128_256
        assert llama3.encode("Hello world") == [9906, 1917]
        assert llama3.special_tokens["<|begin_of_text|>"] == 128_000
        assert llama3.special_tokens["<|eot_id|>"] == 128_009

    @BRIEF
    @given(text=MIXED)
    def test_llama3_ids_equal_those_of_the_transformers_tokenizer(
        self, llama3: Tokenizer, oracle: HuggingFaceTokenizer, text: str
    ) -> None:
        text = text.replace("|", "")  # so that it holds no special token, which the other reads
        assert llama3.encode(text) == oracle.encode(text, add_special_tokens=False).ids

    @BRIEF
    @given(text=MIXED)
    def test_llama3_keeps_unicode_text_in_ordinary_ids(self, llama3: Tokenizer, text: str) -> None:
        tokens = llama3.encode(text)
        assert llama3.decode(tokens) == text
        assert all(token < 128_000 for token in tokens)

    def test_special_token_table_is_chosen_by_name(self, ranks_file: Path) -> None:
        assert "<|eom_id|>" not in load_tokenizer(ranks_file).special_tokens
        assert load_tokenizer(ranks_file, "llama3_1").special_tokens["<|eom_id|>"] == 266 + 8
        with pytest.raises(ValueError, match=r"table of special tokens 'gpt2', wanted .*llama3_1"):
            load_tokenizer(ranks_file, "gpt2")

    def test_rank_file_of_another_model_loads_with_its_size(self, shared: Path) -> None:
        small = shared / "tokenizers" / "tiny_test_assets" / "tiktoken_small.model"
        tokenizer = load_tokenizer(small)
        assert tokenizer.vocab_size == 2000 + 256
        assert tokenizer.decode(tokenizer.encode("Grüße, 世界!")) == "Grüße, 世界!"


@pytest.fixture(scope="module")
def qwen(shared: Path) -> Tokenizer:
    return load_tokenizer(shared / "tokenizers" / "qwen_family_tiktoken" / "emu3.tiktoken")


class TestQwenRanks:
    def test_qwens_ranks_get_qwens_special_tokens(self, qwen: Tokenizer) -> None:
        assert qwen.vocab_size == 151_851
        named = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|extra_0|>", "<|extra_204|>")
        ids = [qwen.special_tokens[name] for name in named]
        assert ids == [151_643, 151_644, 151_645, 151_646, 151_850]
        assert "<|eot_id|>" not in qwen.special_tokens

    def test_digits_of_qwens_ranks_stand_alone(self, qwen: Tokenizer) -> None:
        assert len(qwen.encode("1234567")) == 7

    def test_qwens_ranks_encode_text_in_its_composed_form(self, qwen: Tokenizer) -> None:
        assert qwen.encode("e\u0301") == qwen.encode("\u00e9")
        assert qwen.decode(qwen.encode("e\u0301")) == "\u00e9"


class TestSentencePiece:
    @BRIEF
    @given(text=MIXED)
    def test_text_without_the_blank_mark_survives_in_sentencepiece(
        self, mistral: Tokenizer, text: str
    ) -> None:
        text = text.replace("\u2581", "")
        assert mistral.decode(mistral.encode(text)) == text

    @BRIEF
    @given(parts=st.lists(UNICODE | st.sampled_from(["<s>", "</s>", "[INST]", "[TOOL_CALLS]"])))
    def test_no_text_becomes_a_control_piece(self, mistral: Tokenizer, parts: list[str]) -> None:
        special = set(mistral.special_tokens.values())
        assert special.isdisjoint(mistral.encode("".join(parts)))

    def test_special_ids_decode_to_their_names(self, shared: Path) -> None:
        folder = shared / "tokenizers" / "mistral_sentencepiece"
        tokenizer = load_tokenizer(folder / "mistral_instruct_tokenizer_240323.model.v3")
        special = tokenizer.special_tokens
        assert tokenizer.vocab_size == 32_768
        assert {name: special[name] for name in ("<s>", "</s>", "[INST]", "[TOOL_CALLS]")} == {
            "<s>": 1, "</s>": 2, "[INST]": 3, "[TOOL_CALLS]": 5,
        }  # fmt: skip
        ids = [1, 3, *tokenizer.encode("Guten Tag"), 4, *tokenizer.encode("Hallo"), 2]
        assert tokenizer.decode(ids) == "<s>[INST]Guten Tag[/INST]Hallo</s>"

    def test_sentencepiece_file_is_recognised_by_its_content(
        self, shared: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "named.tiktoken"
        file.write_bytes((shared / "tokenizers" / "tiny_test_assets" / "m.model").read_bytes())
        tokenizer = load_tokenizer(file)
        assert tokenizer.vocab_size == 2000
        assert tokenizer.decode(tokenizer.encode("hello my friend")) == "hello my friend"

    def test_sentencepiece_refuses_unknown_ids_and_lone_surrogates(
        self, mistral: Tokenizer
    ) -> None:
        with pytest.raises(ValueError, match="token id 40000 is not in"):
            mistral.decode([40_000])
        with pytest.raises(ValueError, match="lone surrogate"):
            mistral.encode("\udc00")

    def test_truncated_sentencepiece_file_is_refused(self, shared: Path, tmp_path: Path) -> None:
        file = tmp_path / "tokenizer.model"
        source = shared / "tokenizers" / "tiny_test_assets" / "m.model"
        file.write_bytes(source.read_bytes()[:1000])
        with pytest.raises(ValueError, match=r"wanted a tokenizer\.model"):
            load_tokenizer(file)


SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
FOREIGN = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty or blank"),
    "json": (b'{"hidden_size": 64}', "is JSON, and neither a tokenizer.json nor a tekken.json"),
    "cut json": (b'{"model": {"vocab', "is JSON that cannot be read"),
    "deep json": (b"[" * 100_000, "is JSON that cannot be read"),
    "html": (b"<!DOCTYPE html><html>", "is HTML or XML"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
        "git-lfs pointer.*lfs pull",
    ),
    "zip": (b"PK\x03\x04rest", "pickle or zip"),
    "pickle": (b"\x80\x02}q\x00.", "pickle or zip"),
    "safetensors": (SAFETENSORS, "is a safetensors file"),
    "text": (b"This is a readme.\nIt has lines.\n", "cannot be read"),
    "bytes": (bytes(range(128, 256)) * 4, "cannot be read"),
}


class TestForeignFiles:
    @pytest.mark.parametrize("kind", FOREIGN)
    def test_error_names_the_kind_of_a_foreign_file(
        self, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        content, reason = FOREIGN[kind]
        file = tmp_path / "tokenizer.model"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{reason}.*wanted a tokenizer.model") as error:
            load_tokenizer(file)
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)
        assert capfd.readouterr() == ("", "")

    def test_missing_file_is_named_in_the_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nowhere\.model does not exist; wanted a tok"):
            load_tokenizer(tmp_path / "nowhere.model")
        with pytest.raises(FileNotFoundError, match=r"no tokenizer in .*; wanted a token"):
            load_tokenizer(tmp_path)

    def test_weights_given_by_mistake_are_not_read_into_memory(self, tmp_path: Path) -> None:
        file = tmp_path / "consolidated.bin"
        with file.open("wb") as stream:
            stream.write(b"weights")
            stream.truncate(200_000_000)
        with pytest.raises(ValueError, match="has 200,000,000 bytes, more than any tokenizer"):
            load_tokenizer(file)


def line(token: bytes, rank: int) -> bytes:
    return base64.b64encode(token) + f" {rank}\n".encode()


DAMAGED = {
    "a rank that is no number": (line(b"zz", 266).replace(b"266", b"x"), "line 267 is .*wanted"),
    "no rank": (b"enp6\n", "line 267 is 'enp6'"),
    "a third field": (b"enp6 266 1\n", "line 267 is 'enp6 266 1'"),
    "bad base64": (b"en!6 266\n", "line 267 is 'en!6 266'"),
    "cut base64": (b"enp 266\n", "line 267 is 'enp 266'"),
    "a token twice": (line(b"a", 266), "line 267 holds a token a second time"),
    "a rank twice": (line(b"zz", 265), "wanted the ranks 0 to 266 once each: 266 is missing"),
    "a gap": (line(b"zz", 300), "266 is missing or out of range"),
    "a negative rank": (line(b"zz", -1), "-1 is missing or out of range"),
    "a number too long to read": (b"enp6 " + b"9" * 5000, "line 267 is"),
}


class TestDamagedRanks:
    @pytest.mark.parametrize("damage", DAMAGED)
    def test_damaged_rank_file_is_refused_with_the_reason(
        self, damage: str, ranks_file: Path, tmp_path: Path
    ) -> None:
        extra, reason = DAMAGED[damage]
        file = tmp_path / "tokenizer.model"
        file.write_bytes(ranks_file.read_bytes() + extra)
        with pytest.raises(ValueError, match=f"{reason}.*damaged") as error:
            load_tokenizer(file)
        assert len(str(error.value)) < 300

    def test_truncated_rank_file_is_refused(self, ranks_file: Path, tmp_path: Path) -> None:
        file = tmp_path / "tokenizer.model"
        file.write_bytes(b"".join(ranks_file.read_bytes().splitlines(keepends=True)[:200]))
        with pytest.raises(ValueError, match=r"no token for byte 200 \(of 56 absent\), wanted all"):
            load_tokenizer(file)
