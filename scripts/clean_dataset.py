"""Clean a tool-call dataset into canonical conversations, with an audit of every row.

    python scripts/clean_dataset.py --source-file F --save-file F --remove-no-fc

Reads the layouts of docs/data-formats.md, as a JSON list, JSON Lines or Parquet.
"""

from dataclasses import replace
from pathlib import Path

from console.command import print_next, run, shell_quote, typed_flags
from console.output import Console
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings
from data.cleaning.pair_file import Negatives, pairs_beside
from data.cleaning.repetition import Contradictions, Duplicates
from data.cleaning.supplied_tools import SuppliedTools
from data.cleaning.thinking import Thinking


def main(
    source_file: str,
    save_file: str,
    remove_no_fc: bool = False,
    format: str = "auto",
    report_file: str | None = None,
    balance: bool = False,
    seed: int = 3,
    skip_malformed: bool = False,
    exclude_benchmark: str | None = None,
    duplicates: Duplicates = "near",
    contradictions: Contradictions = "first",
    negatives: Negatives = "drop",
    chat_format: str | None = None,
    thinking: Thinking = "drop",
    check_formats: bool = False,
    tools_file: str | None = None,
) -> None:
    """Clean a dataset: every row is kept, repaired or rejected by a named rule, and counted.

    Rows:
        source_file: The raw dataset: a JSON list, JSON Lines or Parquet, or a directory of such
            files in one layout.
        format: The layout of the rows (anthropic, gemini, glaive, gorilla, hammer, langchain,
            lmflow, mcp, openai, preference, prompt_completion, responses, reward, seal_tools,
            sharegpt, text, toolace, toolbench, toolllama, xlam); auto looks at the first row.
        tools_file: Tools for rows that declare none, all of them for each: a JSON list of schemas
            (OpenAI's shape, or bare), MCP's tools/list result, or a Python file of functions,
            which is executed.
        skip_malformed: Reject lines of JSON Lines that are not JSON instead of stopping there.

    What comes out:
        save_file: The cleaned conversations to write, JSON Lines whatever the name.
        report_file: The audit to write, JSON; by default NAME.report.json beside --save-file.

    What is kept:
        remove_no_fc: Reject conversations in which no function is declared.
        duplicates: near rejects copies of earlier conversations and near copies, exact copies
            alone, keep none.
        contradictions: Of rows that call otherwise after the same tools and turns, first keeps the
            first, keep all of them, drop none; to drop, the source is read twice.
        negatives: Rows that say that they show what not to do (label or win false, reward 0)
            are dropped, or with pair written into NAME.pairs.jsonl beside --save-file, each with
            the answer of a kept row of equal prompt.
        thinking: What becomes of the thoughts beside answers, wherever they stand in a row: drop
            leaves them out, keep writes them as <think> blocks before the answers.
        balance: Cut conversations as the original project did, so that more of them end in a
            question or a call and none in thanks or an apology. Every assistant turn is trained
            wherever it stands, so this only takes turns away.
        seed: Decides which conversations --balance cuts, and where.
        exclude_benchmark: Files of BFCL questions, with commas between; conversations that ask one
            of them are rejected, also where the tool has another name or other parameters.

    Checks:
        chat_format: Reject what this format cannot write, which building would leave out.
        check_formats: Reject calls whose texts are no date, time, email, ipv4, ipv6 or uuid where
            the format of the schema names one (as invalid-arguments).
    """
    benchmarks = tuple(Path(name.strip()) for name in (exclude_benchmark or "").split(",") if name)
    settings = Settings(
        remove_no_fc,
        balance,
        seed,
        skip_malformed,
        benchmarks,
        duplicates,
        contradictions,
        negatives,
        chat_format,
        thinking,
        check_formats=check_formats,
    )
    if tools_file:
        # Each worker imports what stands at the top of this file.
        from synthesis.tools_file import read_user_tools

        file = Path(tools_file).expanduser()
        supplied = SuppliedTools(file, read_user_tools(file, "--tools-file")[0])
        settings = replace(settings, tools_file=supplied)
    audit, report = clean_file(source_file, save_file, report_file, format, settings)
    console = Console()
    console.print(audit.summary())
    if audit.kept < audit.input:
        console.print(audit.table())
    if audit.warning():
        console.print(f"Warning: {audit.warning()}", style="yellow", soft_wrap=True)
    console.print(f"Conversations: {save_file}\nReport: {report}", soft_wrap=True)
    pairs = pairs_beside(Path(save_file))
    if pairs.is_file() and pairs.stat().st_size:
        console.print(f"Pairs: {pairs}", soft_wrap=True)
    if audit.loses_all_calls:
        again = {"source_file": source_file, "tools_file": "F", "save_file": save_file}
        print_next(f"python scripts/clean_dataset.py {typed_flags(again)}")
        return
    print_next(
        f"python scripts/build_dataset.py --source-file {shell_quote(save_file)} "
        "--tokenizer-file MODEL_DIR --save-dir ./datasets/NAME"
    )


if __name__ == "__main__":
    run(main, reads_written=False)
