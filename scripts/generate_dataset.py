"""Generate synthetic tool-call conversations, offline and by a seed; the tools really run.

    python scripts/generate_dataset.py --save-file ./datasets/synthetic.jsonl --count 5000

docs/synthetic-data.md tells about the behaviours, quotas and tools of your own.
"""

from rich.console import Console
from rich.table import Table

from console.command import print_next, run, typed
from console.flags import UsageError
from data.synthesis.behaviours import BEHAVIOURS
from data.synthesis.generation import Settings, generate_file
from data.synthesis.scene import MOST_TOOLS


def main(
    save_file: str,
    count: int = 10_000,
    seed: int = 3,
    tools_file: str | None = None,
    domains: str | None = None,
    only_tools: str | None = None,
    exclude_tools: str | None = None,
    most_tools: int = MOST_TOOLS,
    values: str = "all",
    **quotas: object,
) -> None:
    """Generate conversations in which tools are called, or rightly are not.

    Args:
        save_file: The conversations to write, JSON Lines.
        count: How many conversations.
        seed: Another number gives other conversations; the same number the same bytes.
        tools_file: Your own tools, a JSON file of schemas with examples or a Python file. A Python
            file is executed: name only one that you trust.
        domains: Take tools of these domains only, with commas between; custom means yours.
        only_tools: Take these tools only, with commas between.
        exclude_tools: Leave these tools out, with commas between.
        most_tools: The most tools that a conversation offers, as far as it does not call more.
        values: seen or unseen, so that two files with the same tools share no value that a user can
            choose freely; all draws from both. Choices and yes or no stand in both.
        **quotas: A behaviour's share, as --quota.small_talk=0.1; the others share what is left.
    """
    settings = Settings(
        count,
        seed,
        tools_file,
        _names(domains),
        _names(only_tools),
        _names(exclude_tools),
        {_behaviour(name): share for name, share in quotas.items()},
        most_tools,
        values,
    )
    numbers = generate_file(save_file, settings)
    table = Table("behaviour", "conversations", "what happens")
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}", BEHAVIOURS[name].meaning)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{count:,} conversations: {save_file}", soft_wrap=True, markup=False)
    tools = f" --tools-file {typed(tools_file)}" if tools_file else ""
    print_next(
        f"python scripts/replay_dataset.py --source-file {typed(save_file)}{tools}",
        f"python scripts/build_dataset.py --source-file {typed(save_file)} "
        "--tokenizer-file MODEL_DIR/tokenizer.model --save-dir ./datasets/NAME",
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _behaviour(flag: str) -> str:
    name = flag.removeprefix("quota.")
    if name == flag:
        raise UsageError(f"unknown flag --{flag.replace('_', '-')}")
    return name


if __name__ == "__main__":
    run(main)
