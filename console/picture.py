"""A terminal's text as an SVG picture, light or dark as its reader prefers, fetching nothing."""

import io

from console.output import Console

# Rich's own format names a font that is fetched from elsewhere, and one set of colours.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
  <style>
    .back {{ fill: #f6f8fa; stroke: #d1d9e0; }}
    .text text {{
      fill: #1f2328; font-size: {char_height}px;
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
    }}
    @media (prefers-color-scheme: dark) {{
      .back {{ fill: #151b23; stroke: #3d444d; }}
      .text text {{ fill: #f0f6fc; }}
    }}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
    </clipPath>
    {lines}
  </defs>
  <rect class="back" width="{width}" height="{height}" rx="8"/>
  <g transform="translate({terminal_x}, {terminal_y})"><g class="text">
{matrix}
  </g></g>
</svg>
"""


def terminal_picture(text: str, columns: int) -> str:
    """Return an SVG of plain text in a terminal of so many columns."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=False)
    console.print(text, soft_wrap=True)
    return console.export_svg(title="", code_format=_FORMAT, unique_id="terminal")
