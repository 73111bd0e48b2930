"""The results of benchmarks/verdicts.py as a picture: what calling more costs where text is wanted.

python benchmarks/verdicts_picture.py
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.figures import BALANCED
from storage.atomic import new_file

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
PICTURE = ROOT / "docs/images/verdicts.svg"
# A panel in pixels, and the margins of its drawing: left, top, right, bottom.
WIDTH, HEIGHT = 380, 300
LEFT, TOP, RIGHT, BOTTOM = 46, 40, 14, 44
COLOURS = {
    "fine-tuned": "#6e7781",
    "supervised": "#1a7f37",
    "rewards": "#0969da",
    "rejection sampling": "#bc4c00",
    "preference": "#a475f9",
}
HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT + 30}" role="img"
  aria-label="Right replies where a call is wanted and where a text is, for each way to learn on">
  <style>
    text {{ font: 12px system-ui, sans-serif; fill: #1f2328; }}
    .title {{ font-weight: 600; }}
    .soft {{ fill: #59636e; font-size: 11px; }}
    .level {{ stroke: #d1d9e0; }}
    .path {{ fill: none; stroke-opacity: 0.4; }}
    @media (prefers-color-scheme: dark) {{
      text {{ fill: #f0f6fc; }}
      .soft {{ fill: #9198a1; }}
      .level {{ stroke: #3d444d; }}
    }}
  </style>
"""


@dataclass(frozen=True)
class Panel:
    """One kind of prompts, and the shares in percent at which its axes begin and end.

    x is what is right of the calls that are wanted, y of the texts.
    """

    prompts: str
    title: str
    x: tuple[int, int]
    y: tuple[int, int] = (85, 100)

    def across(self, percent: float) -> float:
        """Return where a share of calls stands."""
        begin, end = self.x
        return round(LEFT + (percent - begin) / (end - begin) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, percent: float) -> float:
        """Return where a share of texts stands."""
        begin, end = self.y
        return round(TOP + (end - percent) / (end - begin) * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self) -> str:
        """Return the title, a line every five percent, and what the axes say."""
        right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = [
            f'<text class="title" x="{LEFT}" y="14">{self.title}</text>',
            f'<text class="soft" x="{LEFT}" y="32">right where a text is wanted</text>',
            f'<text class="soft" text-anchor="end" x="{right}" y="{HEIGHT - 12}">'
            "right where a call is wanted</text>",
        ]
        for share in range(self.x[0], self.x[1] + 1, 5):
            x = self.across(share)
            parts.append(f'<line class="level" x1="{x}" x2="{x}" y1="{TOP}" y2="{low}"/>')
            parts.append(
                f'<text class="soft" text-anchor="middle" x="{x}" y="{low + 14}">{share}%</text>'
            )
        for share in range(self.y[0], self.y[1] + 1, 5):
            y = self.down(share)
            parts.append(f'<line class="level" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
            parts.append(
                f'<text class="soft" text-anchor="end" x="{LEFT - 5}" y="{y + 4}">{share}%</text>'
            )
        return "".join(parts)

    def points(self, run: Mapping[str, Any]) -> str:
        """Return the ways of one run, each a path from where the model was."""
        (start, *ways) = run["ways"]
        paths: dict[str, list[tuple[float, float]]] = {}
        for one in ways:
            paths.setdefault(_kind(one), [self._place(start)]).append(self._place(one))
        parts = []
        for kind, places in paths.items():
            along = " ".join(f"{x},{y}" for x, y in places)
            colour = COLOURS[kind]
            parts.append(f'<polyline class="path" stroke="{colour}" points="{along}"/>')
            parts += [_point(place, colour, run["seed"]) for place in places[1:]]
        return "".join([*parts, _point(self._place(start), COLOURS[start["way"]], run["seed"])])

    def _place(self, one: Mapping[str, Any]) -> tuple[float, float]:
        calls, texts = one[self.prompts][BALANCED]["sides"]
        return self.across(100 * calls[0] / calls[1]), self.down(100 * texts[0] / texts[1])


PANELS = (
    Panel("seen", "Tools seen in training", (65, 85)),
    Panel("unseen", "Tools never seen", (55, 75)),
)


def draw() -> None:
    """Write docs/images/verdicts.svg of all results of benchmarks/verdicts.py."""
    with new_file(PICTURE) as file:
        file.write_text(picture(), encoding="utf-8")


def picture() -> str:
    """Return the picture as SVG: a panel for each kind of tools, and what the colours mean."""
    files = sorted(RESULTS.glob("verdicts_seed*.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    parts = []
    for place, panel in enumerate(PANELS):
        drawn = panel.axes() + "".join(panel.points(run) for run in runs)
        parts.append(f'<g transform="translate({place * WIDTH} 0)">{drawn}</g>')
    x = LEFT
    for kind, colour in COLOURS.items():
        parts.append(f'<circle cx="{x}" cy="{HEIGHT + 12}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 9}" y="{HEIGHT + 16}">{kind}</text>')
        x += 40 + 7 * len(kind)
    told = [f"{'ring' if hollow(run['seed']) else 'disc'}: seed {run['seed']}" for run in runs]
    right = f'text-anchor="end" x="{2 * WIDTH - RIGHT}" y="{HEIGHT + 16}"'
    parts.append(f'<text class="soft" {right}>{", ".join(told)}</text>')
    return HEAD + "\n".join(f"  {part}" for part in parts) + "\n</svg>\n"


def hollow(seed: int) -> bool:
    """Return whether the points of a seed are rings and not discs."""
    return seed % 2 == 0


def _kind(one: Mapping[str, Any]) -> str:
    return str(one["way"]).partition(",")[0]


def _point(place: tuple[float, float], colour: str, seed: int) -> str:
    fill = f'fill="none" stroke="{colour}" stroke-width="2"' if hollow(seed) else f'fill="{colour}"'
    return f'<circle cx="{place[0]}" cy="{place[1]}" r="4.5" {fill}/>'


if __name__ == "__main__":
    draw()
    print(f"Written to {PICTURE}")
