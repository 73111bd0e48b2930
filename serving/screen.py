"""What a chat prints: text as it is generated, and one line that shows an incomplete call."""

from rich.live import Live
from rich.text import Text

from console.output import Console


class Screen:
    """A terminal, or a file, where no line is updated in place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._within_line = False

    def write(self, text: str) -> None:
        """Print more of a text; the line goes on."""
        self.settle()
        self._console.out(text, end="")
        self._within_line = not text.endswith("\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line of its own."""
        self.settle()
        self.end_line()
        self._console.print(text, style=style, soft_wrap=True)

    def show_partial_call(self, text: str) -> None:
        """Show the end of what is being written, until something else is printed."""
        if not self._console.is_terminal or not text:
            return
        if self._live is None:
            self.end_line()
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        shown = " ".join(text.split())[4 - self._console.width :]
        self._live.update(Text(f"  … {shown}", "dim", no_wrap=True, overflow="crop"), refresh=True)

    def settle(self) -> None:
        """Remove the line that shows an incomplete call."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def end_line(self) -> None:
        """End the line that `write` began."""
        if self._within_line:
            self._console.out("")
            self._within_line = False
