"""Files that are not what their names say, in place of each file of each command in turn."""

import dataclasses
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

from attacks.arena import Arena
from attacks.corruptions import targets
from attacks.outcomes import Outcome

KIND = "hostile files"
# What a pickle would write if it were executed, in the folder where the command runs.
EXECUTED = "executed"


class _Executes:
    """An object whose unpickling writes a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (EXECUTED, "w")


def _pickled() -> bytes:
    return pickle.dumps(_Executes())


def _pickled_in_zip() -> bytes:
    """Return a file as torch.save writes it, whose pickle executes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled())
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def _huge_in_zip() -> bytes:
    """Return a small zip archive that would fill 200 MB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(200_000_000))
    return stream.getvalue()


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda old: b"",
    "zeros": lambda old: bytes(len(old)),
    "a page of HTML": lambda old: b"<!DOCTYPE html><html><title>404</title></html>\n",
    "a pointer of Git LFS": lambda old: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 7\n"
    ),
    "lists 100,000 deep": lambda old: b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": lambda old: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 100,000 digits": lambda old: b"9" * 100_000,
    "null": lambda old: b"null",
    "a list of one number": lambda old: b"[1]",
    "an empty object": lambda old: b"{}",
    "half a surrogate pair": lambda old: b'{"\\ud800": "\\ud800"}\n',
    "bytes that are no UTF-8": lambda old: b'{"a": "\xff\xfe"}\n',
    "UTF-16": lambda old: old.decode("latin-1").encode("utf-16"),
    "a byte order mark before it": lambda old: b"\xef\xbb\xbf" + old,
    "twice the same": lambda old: old + old,
    "zeros after it": lambda old: old + bytes(1000),
    "lines that end in CR": lambda old: old.replace(b"\n", b"\r"),
    "a header of 2^63 bytes": lambda old: b"\xff" * 7 + b"\x7f" + b"{}",
    "a GGUF file of 2^60 tensors": lambda old: b"GGUF\x03\0\0\0" + b"\0" * 7 + b"\x10" + bytes(8),
    "a pickle that executes": lambda old: _pickled(),
    "a zip whose pickle executes": lambda old: _pickled_in_zip(),
    "a zip of 200 MB of zeros": lambda old: _huge_in_zip(),
}
# Done to the path itself.
PLACES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


def attack(arena: Arena, number: int) -> Outcome:
    """Replace one file of one command, run it, and say what became of it."""
    chance = arena.chance(KIND, number)
    every = targets(arena.prepared)
    step, file = every[number % len(every)]
    arena.reference(step)
    arena.copy_inputs(step)
    path = arena.folder / file
    what = chance.choice([*CONTENTS, *PLACES])
    old = path.read_bytes()
    path.unlink()
    if what in PLACES:
        PLACES[what](path)
    else:
        path.write_bytes(CONTENTS[what](old))
    ended = step.run(arena.folder)
    if (arena.folder / EXECUTED).exists():
        return Outcome(KIND, number, f"{step.name}: {file}", what, "used in silence", "it ran code")
    outcome = arena.judge(step, ended, KIND, number, file, what)
    return dataclasses.replace(outcome, peak_bytes=ended.peak_bytes)
