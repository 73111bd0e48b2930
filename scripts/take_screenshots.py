"""Take the pictures of a report that the documents show: light, dark, and as narrow as a phone.

python scripts/take_screenshots.py --page docs/demo-real.html --save-dir docs/images

It starts a Chromium that is installed, without a window. Nothing is loaded from the network.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from console.command import run
from storage.atomic import new_file

CHROMIUMS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome")
# The name of each picture, what the page hears of the reader's taste, and its width in pixels.
SHOTS = (("light", 1, 960), ("dark", 0, 960), ("narrow", 1, 500))
HEIGHT = 780


def main(page: str, save_dir: str = "docs/images") -> None:
    """Write NAME-light.png, NAME-dark.png and NAME-narrow.png of a page.

    Args:
        page: An HTML file, as evaluations, inspections and scripts/teach.py write it.
        save_dir: The directory of the pictures.
    """
    file = Path(page).resolve()
    if not file.is_file():
        raise FileNotFoundError(f"{page} is missing; name a page that exists with --page")
    browser = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if browser is None:
        raise FileNotFoundError(
            f"no browser is installed, wanted one of {', '.join(CHROMIUMS)}; install one, for "
            "example: apt-get install chromium"
        )
    for name, scheme, width in SHOTS:
        target = Path(save_dir) / f"{file.stem}-{name}.png"
        with new_file(target) as partial:
            _take(browser, file, partial, scheme, width)
        print(target)


def _take(browser: str, page: Path, picture: Path, scheme: int, width: int) -> None:
    """Let the browser draw a page into a file; ValueError where it draws nothing."""
    with tempfile.TemporaryDirectory() as profile:
        drawn = Path(profile) / "page.png"  # the browser goes by the ending
        command = [browser, "--headless", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={width},{HEIGHT}"]
        command += [f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={drawn}"]
        # As root, in a container, Chromium has no sandbox.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*command, page.as_uri()], capture_output=True, text=True, timeout=120
        )
        if not drawn.is_file():
            said = " ".join(done.stderr.split())[-300:]
            raise ValueError(f"{browser} drew no picture of {page}: {said or 'it says nothing'}")
        shutil.copyfile(drawn, picture)


if __name__ == "__main__":
    run(main, reads_written=False)
