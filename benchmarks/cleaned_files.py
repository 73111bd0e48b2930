"""Clean the same files with two checkouts, and print what each keeps as a table in Markdown.

    python benchmarks/cleaned_files.py --before ../earlier --data /path/to/public/files

Cleans the rows of tests/data/reading/layouts/ and the public files that docs/data-formats.md names,
each with the script of the checkout `--before` and with this one's.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from console.command import run

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "data" / "reading" / "layouts"
PUBLIC = (
    "glaive_v2_raw/glaive-function-calling-v2.rows_0_4.jsonl",
    "glaive_v2_raw/reconstructed_layout.en_part.json",
    "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json",
    "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json",
    "glaive_toolcall_sharegpt/reason_tool_use_demo_50.rows_0_24.jsonl",
    "openai_finetuning_toolcalls/drone_training.rows.jsonl",
    "functionary_openai_messages/test_case.json",
    "functionary_openai_messages/test_case_v2.json",
    "tau_bench/gpt-4o-airline.tasks_0_13.json",
    "xlam_function_calling_60k/xlam_rows.json",
    "hammer/masking_sft_data_example.json",
    "gorilla_openfunctions_v1/gorilla_openfunctions_v1_test.rows_0_55.json",
    "seal_tools/dataset_for_finetune_dev.rows_0_199.json",
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/588_CoT@1.json",
    "stabletoolbench/answer/virtual_chatgpt_cot/G1_instruction/608_CoT@1.json",
)


@dataclass(frozen=True)
class Counts:
    """What became of a file's rows."""

    layout: str
    rows: int
    kept: int
    repaired: int
    rejected: int


def main(before: str, data: str) -> None:
    """Print a line for each file: its rows, and what was kept, repaired and rejected by each.

    Args:
        before: A checkout of the project to compare with.
        data: The folder of the public files.
    """
    own = sorted(file for file in FIXTURES.glob("*.jsonl") if file.stem != "expected")
    files = [(f"layouts/{file.name}", file) for file in own]
    files += [(name, Path(data) / name) for name in PUBLIC]
    print("| file | layout | rows | before: kept / repaired / rejected | after |")
    print("|---|---|---|---|---|")
    for name, file in files:
        earlier, now = (cleaned(file, checkout) for checkout in (Path(before), ROOT))
        layout, rows = (now.layout, now.rows) if now else ("-", "-")
        print(f"| `{name}` | {layout} | {rows} | {shown(earlier)} | {shown(now)} |", flush=True)


def cleaned(file: Path, checkout: Path) -> Counts | None:
    """Return the counts of a cleaning with a checkout's script; None where it refuses the file."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "scripts/clean_dataset.py", "--source-file", str(file.resolve())]
        command += ["--save-file", str(Path(folder) / "clean.jsonl"), "--report-file", str(report)]
        here = {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=checkout, env=here, capture_output=True, check=False)
        if not report.exists():
            return None
        found = json.loads(report.read_text(encoding="utf-8"))
    counts = (found[key] for key in ("input", "kept", "repaired", "rejected"))
    return Counts(found["source"]["format"], *counts)


def shown(counts: Counts | None) -> str:
    """Return counts as they stand in the table."""
    if counts is None:
        return "no known layout"
    return f"{counts.kept} / {counts.repaired} / {counts.rejected}"


if __name__ == "__main__":
    run(main)
