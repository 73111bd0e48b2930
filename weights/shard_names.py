"""The names of the files that Meta's weights come in."""


def shard_file(index: int) -> str:
    """Return the name of Meta's shard file number `index`."""
    return f"consolidated.{index:02d}.pth"
