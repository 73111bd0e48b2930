"""Generate synthetic tool-call conversations, offline and by a seed; the tools really run.

    python scripts/generate_dataset.py --save-file ./datasets/synthetic.jsonl --count 5000

docs/synthetic-data.md tells about the behaviours, quotas and tools of your own.
"""

import inspect

from rich.table import Table

from console.command import print_next, run, shell_quote
from console.flags import unknown_flag
from console.output import Console
from synthesis.behaviours import BEHAVIOURS
from synthesis.generation import Settings, generate_file, left_out
from synthesis.mixtures import MixtureName
from synthesis.scene import Values


def main(
    save_file: str = "data/tool_using_dataset.json",
    count: int = 10_000,
    seed: int = 3,
    tools_file: str | None = None,
    domains: str | None = None,
    only_tools: str | None = None,
    exclude_tools: str | None = None,
    most_tools: int | None = None,
    values: Values = "all",
    mixture: MixtureName = "broad",
    generate_only: bool = False,
    **quotas: object,
) -> None:
    """Generate conversations in which tools are called, or rightly are not.

    What comes out:
        save_file: The conversations to write, JSON Lines.
        count: How many conversations.
        seed: Another number gives other conversations; the same number the same bytes.
        generate_only: End with the data: the next command checks it. Without, the next commands
            lead on to a fine-tuned model.

    Tools:
        tools_file: Your own tools, a JSON file of schemas with examples or a Python file. A Python
            file is executed: name only one that you trust.
        domains: Take tools of these domains only, with commas between; custom means yours.
        only_tools: Take these tools only, with commas between.
        exclude_tools: Leave these tools out, with commas between.
        most_tools: The most tools that a conversation offers, as far as it does not call more; by
            default 30, or 8 in the plain and 4 in the short mixture.

    Conversations:
        mixture: broad, with system texts and rules that change what is right, tools that look
            alike, text beside calls, more calls and turns, chat language; short, without these, for
            small models and a CPU; or plain, as short with more tools and sums for questions.
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
        mixture,
    )
    numbers = generate_file(save_file, settings)
    table = Table("behaviour", "conversations", "what happens")
    for name, number in numbers.items():
        if not number:
            continue
        table.add_row(name, f"{number:,}", BEHAVIOURS[name].meaning)
    console = Console()
    console.print(table)
    if lacking := left_out(settings):
        print(f"left out, since the tools do not allow them: {', '.join(lacking)}")
    console.print(f"{count:,} conversations: {save_file}", soft_wrap=True)
    tools = f" --tools-file {shell_quote(tools_file)}" if tools_file else ""
    check = f"python scripts/replay_dataset.py --source-file {shell_quote(save_file)}{tools}"
    train = (
        f"python scripts/build_dataset.py --source-file {shell_quote(save_file)} "
        "--tokenizer-file MODEL_DIR --save-dir ./datasets/NAME",
        "python finetune.py --model.checkpoint_dir=MODEL_DIR --data.dataset_dir=./datasets/NAME",
    )
    print_next(check, *(() if generate_only else train))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _behaviour(flag: str) -> str:
    name = flag.removeprefix("quota.")
    if name == flag or name not in BEHAVIOURS:
        flags = [name for name in inspect.signature(main).parameters if name != "quotas"]
        raise unknown_flag(flag, [*flags, *(f"quota.{behaviour}" for behaviour in BEHAVIOURS)])
    return name


if __name__ == "__main__":
    run(main, reads_written=False)
