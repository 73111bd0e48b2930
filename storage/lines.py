"""Lines added to a file one by one, which a killed process may have left in the middle of one."""

from pathlib import Path


def append_line(file: Path, line: str) -> None:
    """Append a line of UTF-8; it is in the file when this returns, and begins a line of its own."""
    with file.open("a+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 1))
        cut_off = stream.read(1) not in (b"", b"\n")
        stream.write((b"\n" if cut_off else b"") + line.encode() + b"\n")
