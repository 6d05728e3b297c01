"""What the pages of all reports are made of: a frame, sentences, figures, tables.

One file that needs nothing else and asks nobody for anything; all text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d1f21; --faint: #5b6166;
  --line: #d5d9dc; --mark: #0072b2; --doubt: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181a; --ink: #e6e8ea;
  --faint: #a3aab0; --line: #3a4046; --mark: #56b4e9; --doubt: #e69f00; } }
body { background: var(--paper); color: var(--ink); margin: 2rem auto; padding: 0 1rem;
  max-width: 60rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: 0.3rem; }
p { max-width: 46rem; } .faint { color: var(--faint); }
figure { margin: 0.6rem 0; overflow-x: auto; }
svg { max-width: none; font: 13px system-ui, sans-serif; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td.number, th.number { text-align: right; }
"""


def framed(sections: Iterable[str], title: str) -> str:
    """Return a page with these sections."""
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def figure(svg: str) -> str:
    """Return a drawing in its frame."""
    return f"<figure>{svg}</figure>"


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, n_words: int = 1
) -> str:
    """Return a table; all columns but the first ones are numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = ["" if n < n_words else ' class="number"' for n in range(len(cells))]
        inner = (
            f"<{tag}{kind}>{escape(cell)}</{tag}>"
            for cell, kind in zip(cells, kinds, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    lines = [row(heads, "th"), *(row(cells, "td") for cells in rows)]
    return f"<figure><table>{''.join(lines)}</table></figure>"
