"""Execute every call of a generated dataset again and compare with the stored results.

python scripts/replay_dataset.py --source-file ./datasets/synthetic.jsonl
"""

from console.command import print_next, run, shell_quote
from synthesis.facts import check_facts
from synthesis.replay import replay_file


def main(source_file: str, tools_file: str | None = None, facts: bool = False) -> None:
    """Replay a generated dataset; the first call with another result ends it with an error.

    Args:
        source_file: Conversations that scripts/generate_dataset.py wrote.
        tools_file: The file of your own tools that they were generated with. A Python file is
            executed: name only one that you trust.
        facts: Check as well that arguments were said or found, and that replies tell no name,
            number or date that was not; the first that does ends it with an error.
    """
    done = replay_file(source_file, tools_file)
    if facts:
        check_facts(source_file)
        print("Every argument was said or found, and so was all that the replies tell.")
    print(f"{done.calls:,} calls in {done.conversations:,} conversations gave the stored results.")
    print_next(
        f"python scripts/build_dataset.py --source-file {shell_quote(source_file)} "
        "--tokenizer-file MODEL_DIR --save-dir ./datasets/NAME"
    )


if __name__ == "__main__":
    run(main, reads_written=False)
