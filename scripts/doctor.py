"""Say whether this machine is ready for the project, and what to do where it is not.

python scripts/doctor.py
"""

import argparse
import sys
from dataclasses import asdict
from importlib import import_module

try:
    from machine.doctor import examine
    from machine.findings import Finding, format_findings, todos_of
    from storage.atomic import new_file
    from storage.json_file import write_json
except ModuleNotFoundError as error:
    # Nothing of a package is needed up to here but the project itself.
    sys.exit(f"error: {error.name} is not installed: python -m pip install -r requirements.txt")


def main(json_file: str | None = None) -> str:
    """Print versions, devices, memory, what computes and what is missing; no network is used.

    The exit code is 0, or 1 where something is to be done, which the last lines say, and with
    --quiet an error.

    Args:
        json_file: Write what was found to this file, too.
    """
    found: dict[str, list[Finding]] = {}
    for title, findings in examine():
        found[title] = findings
        print(format_findings(title, findings) + "\n", flush=True)
    todos = todos_of(finding for findings in found.values() for finding in findings)
    if json_file:
        parts = {title: list(map(asdict, findings)) for title, findings in found.items()}
        with new_file(json_file) as partial:
            write_json(partial, {"ready": not todos, "todo": todos, "found": parts})
    if todos:
        print("\n".join(["To do:", *(f"  {todo}" for todo in todos)]))
        sys.exit(f"error: {len(todos)} to do: {'; '.join(todos)}" if "--quiet" in sys.argv else 1)
    print("Ready.")
    return "Ready."


if __name__ == "__main__":
    try:
        import_module("fire")
        from console.command import run
    except Exception:
        # What reads flags elsewhere is missing or broken, which is among what is to be told.
        parser = argparse.ArgumentParser(description=main.__doc__)
        parser.add_argument("--json-file")
        main(**vars(parser.parse_args()))
    else:
        run(main, reads_written=False)
