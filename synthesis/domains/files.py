"""Files: list, find, move, delete, in an imagined file tree."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import Kind, number
from synthesis.world import exists, fact, pick

ROOTS = ("documents", "downloads", "pictures", "projects", "archive")
Extension = Annotated[
    Literal["txt", "pdf", "csv", "png", "md", "json"], Instead(("floppy", "paper", "vhs"))
]


def _folder(dice: Dice) -> str:
    return f"/{dice.choice(ROOTS)}/{dice.choice(pools.TOPICS)}"


def _file(dice: Dice, extensions: tuple[str, ...] = ("txt", "pdf", "csv", "png")) -> str:
    name = f"{dice.choice(pools.TOPICS)}-{dice.choice(pools.OCCASIONS)}"
    return f"{_folder(dice)}/{name}.{dice.choice(extensions)}"


_NO_PATH = "(a path has to begin with a slash|I need the whole path, from the first slash on)"
Folder = Annotated[
    str,
    Kind(
        "folder",
        _folder,
        schema={"pattern": "^/"},
        wrong=lambda dice: _folder(dice)[1:].replace("/", "\\"),
        rule=_NO_PATH,
    ),
]
_FILE = Kind(
    "file",
    _file,
    schema={"pattern": "^/"},
    wrong=lambda dice: _file(dice)[1:].replace("/", "\\"),
    rule=_NO_PATH,
)
File = Annotated[str, _FILE]
# Nobody reads the first lines of a picture.
TextFile = Annotated[
    str, replace(_FILE, draw=lambda dice: _file(dice, ("txt", "csv", "md", "json")))
]


def list_folder(path: Folder, show_hidden: bool = False) -> dict[str, Any]:
    """List the files in a folder.

    Args:
        path: The folder, from the root.
        show_hidden: Whether files whose names begin with a dot are listed too.
    """
    names = [
        f"{pick(pools.TOPICS, path, place)}.{pick(('txt', 'pdf', 'csv'), path, place)}"
        for place in range(fact(1, 3, "files", path))
    ]
    return {
        "path": path,
        "files": names + [".settings"] * show_hidden,
        "size_kb": fact(4, 9000, path),
    }


def find_file(
    name_contains: Annotated[str, Kind("part of the name", lambda d: d.choice(pools.TOPICS))],
    extension: Extension | None = None,
    folder: Folder = "/",
) -> dict[str, Any]:
    """Find the newest file whose name contains a word.

    Args:
        name_contains: What the name contains.
        extension: The kind of file.
        folder: Where to look.
    """
    about = (name_contains, extension, folder)
    inside = f"/{pick(ROOTS, *about)}" if folder == "/" else folder
    name = f"{name_contains}-{pick(pools.OCCASIONS, *about)}.{extension or 'txt'}"
    return {"path": f"{inside}/{name}", "matches": fact(1, 9, *about)}


def move_file(path: File, target_folder: Folder) -> dict[str, Any]:
    """Move a file to another folder.

    Args:
        path: The file, from the root.
        target_folder: Where it goes, from the root.
    """
    return {"new_path": f"{target_folder}/{_require_file(path)}"}


def delete_file(path: File, permanently: bool = False) -> dict[str, Any]:
    """Delete a file; unless told otherwise it goes to the trash.

    Args:
        path: The file, from the root.
        permanently: Whether it skips the trash.
    """
    _require_file(path)
    return {"deleted": path, "freed_kb": fact(1, 4000, "size", path), "in_trash": not permanently}


def read_lines(
    path: TextFile, lines: Annotated[int, number("number of lines", 2, 6, "line")] = 3
) -> dict[str, Any]:
    """Read the first lines of a text file.

    Args:
        path: The file, from the root.
        lines: How many lines.
    """
    _require_file(path)
    found = [
        f"{pick(pools.ADJECTIVES, path, place)} {pick(pools.CREATURES, path, place)}"
        for place in range(lines)
    ]
    return {"lines": found, "line_count": fact(5, 400, "lines", path)}


def _require_file(path: str) -> str:
    if not exists("file", path, 9):
        raise ValueError(f"there is no file {path}")
    return path.rpartition("/")[2]


DOMAIN = Domain(
    "files",
    (
        declare(
            list_folder,
            do=(
                "(list|show me) (the files|everything|what is) in (the folder |){path}"
                "[?show_hidden , hidden files too]",
                "(list|show me) the files (in|of) (a|my) folder"
                "[?show_hidden  with the hidden ones]",
            ),
            ask=("(which files are|what is) in {path}[?show_hidden , hidden files included]",),
            answer=(
                "{path} (holds|contains) {files}.",
                "In {path} (there is|I see): {files}; {size_kb} kB in all.",
            ),
            more=(("how much space does that take", "the folder takes {size_kb} kB"),),
        ),
        declare(
            find_file,
            do=(
                "(find|locate|search for) the [{extension} ]file with '{name_contains}' in its name"
                "[ (in|under) {folder}]",
                "(find|look for) (something|a file)[ of type {extension}] called "
                "'{name_contains}' or so[ in {folder}]",
                "(find|search for) (a|my) [{extension} ]file[ in {folder}]",
            ),
            ask=("where (is|did I put) the '{name_contains}' [{extension} ]file[ in {folder}]",),
            answer=(
                "(I found|The newest one is) {path}.",
                "(It is|That would be|The newest that matches is) {path}.",
            ),
            more=(("how many files match", "the number of matching files is {matches}"),),
        ),
        declare(
            move_file,
            do=(
                "move {path} (to|into) {target_folder}",
                "(put|move) the file {path} (into the folder|to) {target_folder}",
                "move {path} (somewhere else|to another folder)",
            ),
            answer=("The file is now {new_path}.", "(Moved|Done): {new_path}."),
            slips=("path",),
        ),
        declare(
            delete_file,
            do=(
                "(delete|remove) (the file |){path}[?permanently  for good]",
                "(throw away|get rid of) {path}[?permanently , permanently]",
                "(delete|remove) a file[?permanently  for good]",
            ),
            answer=(
                "{deleted} is deleted; that freed {freed_kb} kB.",
                "(I deleted|I removed) {deleted}[?in_trash  and it is in the trash for now].",
            ),
            more=(("how much space did that free", "it freed {freed_kb} kB"),),
            slips=("path",),
        ),
        declare(
            read_lines,
            do=(
                "(read|show me) the (first|top) [{lines} ](of|from) {path}",
                "(open|look into) {path} and (read|show) me the beginning[, {lines}]",
                "(read|show) me the beginning of (a file|one of my files)[, {lines}]",
            ),
            ask=("what (do|did) the first {lines} of {path} say",),
            answer=(
                "(It begins|The file begins) with: {lines}.",
                "(The beginning reads|Here they are): {lines}.",
            ),
            more=(("how many lines has the whole file", "the whole file has {line_count} lines"),),
            slips=("path",),
        ),
    ),
    chains=(
        Chain(
            "find_file",
            "move_file",
            {"path": "path"},
            do=(
                "(find|look for) the [{extension} ]file with '{name_contains}' in its name"
                "[ under {folder}] and move it (to|into) {target_folder}",
            ),
        ),
        Chain(
            "find_file",
            "delete_file",
            {"path": "path"},
            do=(
                "(find|locate) the [{extension} ]file about '{name_contains}'[ in {folder}] and "
                "(delete|remove) it[?permanently  for good]",
            ),
        ),
        Chain(
            "find_file",
            "read_lines",
            {"path": "path"},
            do=(
                "(find|locate) the [{extension} ]file on '{name_contains}'[ in {folder}] and "
                "(read|show) me its first lines[, {lines}]",
            ),
        ),
    ),
    reasons=(
        "My (disk|drive|laptop) is (nearly full|a mess)",
        "I'm (tidying up|sorting) my (files|folders|computer)",
        "I can never (find|remember) anything",
        "I'm (backing up|handing over) my (work|projects)",
        "The (deadline|presentation|audit) is close",
    ),
)
