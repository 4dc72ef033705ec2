"""Tables and reports, as text."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from nmmo_jax.common.files import write
from nmmo_jax.common.text import quoted

Rows = Sequence[Sequence[str]]


def markdown(heads: Sequence[str], rows: Rows) -> str:
    """A table in Markdown: the first column to the left, numbers to the right."""
    head, *cells = ([quoted(cell) for cell in line] for line in (heads, *rows))
    lines = [head, ["---", *["---:"] * (len(heads) - 1)], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(title: str, heads: Sequence[str], rows: Rows, caption: str | None = None) -> Table:
    """The same for a terminal."""
    # Close together: a terminal may have 80 columns.
    made = Table(title=title, caption=caption, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    made.title_justify = made.caption_justify = "left"
    for index, name in enumerate(heads):
        made.add_column(name, justify="right" if index else "left")
    for row in rows:
        made.add_row(*row)
    return made


def write_report(out: Path, *paragraphs: str) -> None:
    """Writes report.md."""
    text = "\n\n".join(paragraphs) + "\n"
    write(out / "report.md", lambda file: file.write(text.encode(errors="backslashreplace")))
