"""How much memory of its own a conversion takes at its peak, in a process of its own."""

import subprocess
import sys
from pathlib import Path

_MEASURE = """
import sys, threading
from pathlib import Path
{convert}

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        seen.append(anonymous())

convert(Path(sys.argv[1]))
seen, done = [anonymous()], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
convert(Path(sys.argv[2]))
done.set()
watcher.join()
print(max(seen) - seen[0])
"""


def peak_bytes(convert: str, small: Path, large: Path) -> int:
    """Return the most RssAnon that `convert(large)` adds, after `convert(small)` loaded its code.

    `convert` is the Python source of a function of that name that takes a folder.
    """
    script = _MEASURE.format(convert=convert)
    result = subprocess.run(
        [sys.executable, "-c", script, str(small), str(large)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)
