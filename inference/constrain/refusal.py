"""What a grammar cannot keep: errors with the path of the keyword."""

# Of a path that is longer, a message shows so many characters.
LONGEST_POINTER = 120


class NotEnforced(ValueError):
    """A keyword, at a JSON Pointer inside a tool's schema, that no grammar keeps, and why."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(pointer, problem)
        self.pointer, self.problem = pointer, problem


class ToolRefused(ValueError):
    """A tool whose schema cannot be enforced.

    tool: Its name. reason: The JSON Pointer to the keyword, why it is not enforced, what to do.
    """

    def __init__(
        self,
        tool: str,
        pointer: str,
        problem: str,
        advice: str = "remove the keyword from the schema",
    ) -> None:
        if len(pointer) > LONGEST_POINTER:
            pointer = f"{pointer[:LONGEST_POINTER]}... ({pointer.count('/'):,} steps deep)"
        self.tool = tool
        self.reason = f"cannot be constrained: {pointer or 'its schema'} {problem}; {advice}"
        super().__init__(f"tool {tool} {self.reason} or generate without --constrain")
