"""What a grammar cannot keep: an error with the path of the keyword."""

# Of a path that is longer, a message shows so many characters.
LONGEST_POINTER = 120


class NotEnforced(ValueError):
    """A keyword, at a JSON Pointer inside a tool's schema, that no grammar keeps, and why."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(pointer, problem)
        self.pointer, self.problem = pointer, problem


def refuse(tool: str, pointer: str, problem: str) -> ValueError:
    """Return the error of a tool whose schema cannot be enforced."""
    if len(pointer) > LONGEST_POINTER:
        pointer = f"{pointer[:LONGEST_POINTER]}... ({pointer.count('/'):,} steps deep)"
    return ValueError(
        f"tool {tool} cannot be constrained: {pointer or 'its schema'} {problem}; remove the "
        "keyword from the schema or generate without --constrain"
    )
