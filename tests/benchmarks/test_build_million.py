"""The benchmark of cleaning and building: its rows are sound, and what it measures is measured."""

import json
import os
import sys
from pathlib import Path

from benchmarks.build_million import family, measure, pss_bytes
from benchmarks.glaive_rows import write_rows
from data.cleaning.clean_file import clean_file
from data.conversations import read_conversations


def test_generated_rows_are_glaive_rows_that_cleaning_keeps(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 100)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert all(set(row) == {"system", "chat"} for row in rows)
    assert sum("<functioncall>" in row["chat"] for row in rows) > 50
    audit, _ = clean_file(tmp_path / "rows.jsonl", tmp_path / "cleaned.jsonl")
    assert (audit.input, audit.rejected) == (100, 0)
    tools = [
        len(conversation.tools) for conversation in read_conversations(tmp_path / "cleaned.jsonl")
    ]
    assert min(tools) == 1 and sum(tools) / len(tools) < 3
    write_rows(tmp_path / "again.jsonl", 100)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "rows.jsonl").read_bytes()


def test_the_memory_and_time_of_all_processes_are_counted() -> None:
    grandchild = "x = bytearray(60_000_000); sum(range(10_000_000)); import time; time.sleep(0.8)"
    work = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    found = measure("nothing", [sys.executable, "-c", work], rows=7)
    assert found.peak_pss_bytes > 60_000_000
    assert found.wall_seconds >= 0.8 and 0 < found.cpu_seconds < 5 and found.rows == 7


def test_an_ended_process_has_no_memory_and_no_family() -> None:
    assert os.getpid() in family(os.getpid()) and pss_bytes(os.getpid()) > 1_000_000
    assert family(2**22 + 1) == [] and pss_bytes(2**22 + 1) == 0
