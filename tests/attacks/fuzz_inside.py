"""Fuzz one target in this process: its name, the seconds, a folder of inputs, one for findings.

The project's modules are instrumented as they are imported, so nothing of it is imported before.
"""

import hashlib
import sys
from pathlib import Path

import atheris

# How long one input may take before the fuzzer itself ends, in seconds.
HANGS = 60
ROOMS = ["chat", "console", "data", "evaluation", "export", "inference", "model", "training"]
ROOMS += ["weights"]


def main(target: str, seconds: str, kept: str, findings: str) -> None:
    """Fuzz until the time is over; the fuzzer then ends the process."""
    # Modules that a target imports at its first input are instrumented, too.
    with atheris.instrument_imports(include=ROOMS):
        from attacks.fuzz import judge

        seen: set[tuple[str, str]] = set()

        def try_once(data: bytes) -> None:
            finding = judge(target, data)
            if finding is None or finding.key in seen:
                return
            seen.add(finding.key)
            (Path(findings) / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

        options = [f"-max_total_time={seconds}", f"-timeout={HANGS}", "-rss_limit_mb=4096"]
        options += ["-max_len=20000", f"-artifact_prefix={findings}/"]
        atheris.Setup([sys.argv[0], *options, kept], try_once)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
