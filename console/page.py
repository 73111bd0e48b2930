"""One HTML file that needs nothing else: no scripts, nothing loaded from anywhere."""

from collections.abc import Iterable, Sequence
from html import escape

# The browser runs no script and loads nothing, whatever a text on the page contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# Control characters are shown as Unicode's symbols for them.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}

STYLE = """
:root { color-scheme: light dark;
  --paper: #fcfcfb; --ink: #1d2227; --soft: #5f6872; --rule: #dcdfe3; --card: #f2f4f6;
  --accent: #2a6fb0; --interval: #0f2f4f; --good: #1c7a43; --bad: #b3291f }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181c; --ink: #e4e7ea; --soft: #98a1ab; --rule: #343a41; --card: #1e2329;
  --accent: #4f9be0; --interval: #d4e8fb; --good: #5cc98a; --bad: #ff8276 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--rule) }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
p { max-width: 46rem }
.soft { color: var(--soft); fill: var(--soft) }
.scroll { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th { color: var(--soft); font-weight: 500 }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
figure { margin: 1rem 0 }
figcaption { font-weight: 600; margin-bottom: .25rem }
svg { display: block; width: 100%; fill: currentColor; font: 12px system-ui, sans-serif;
  overflow: visible }
.bar { display: grid; grid-template-columns: minmax(8rem, 15rem) minmax(6rem, 1fr) 15rem;
  gap: 0 .75rem; align-items: center }
.bar .label { text-align: right; overflow-wrap: anywhere }
.bar .note { color: var(--soft); font-size: .9em; font-variant-numeric: tabular-nums }
.bar rect { fill: var(--accent) }
.interval line { stroke: var(--interval); stroke-width: 1.5 }
.level { stroke: var(--rule) }
.line text { paint-order: stroke; stroke: var(--paper); stroke-width: 3px }
.line .path { stroke: var(--accent); stroke-width: 2 }
.point line, .marked line { stroke: var(--accent); stroke-width: 1.5; opacity: .6 }
.point circle { fill: var(--paper); stroke: var(--accent); stroke-width: 2 }
.marked circle { fill: var(--accent) } .marked text { font-weight: 600 }
.reference line { stroke: var(--soft); stroke-dasharray: 5 4 }
.reference rect { fill: var(--soft); opacity: .1 } .reference text { fill: var(--soft) }
pre { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext;
  font: 13px/1.5 ui-monospace, monospace; margin: 0 }
a:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444 }
  body { max-width: none; padding: 0 } .scroll { overflow: visible }
  figure, tr, pre, .bar { break-inside: avoid } h2, h3 { break-after: avoid } }
@media (max-width: 40rem) {
  .bar { grid-template-columns: 1fr auto; margin-bottom: .4rem }
  .bar .label { text-align: left } .bar .note { text-align: right }
  .bar svg { grid-row: 2; grid-column: 1 / 3 } }
"""


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return the whole page: `parts` are HTML, the title is text, `style` comes after the own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown(title)}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><h1>{shown(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def shown(text: str) -> str:
    """Return any text as HTML that shows it, control characters too."""
    return escape(text.translate(_PICTURES))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts; where it is wider than the screen it is scrolled by itself."""
    top = "".join(f"<th>{shown(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{shown(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><tr>{top}</tr>{body}</table></div>'
