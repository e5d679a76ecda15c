"""Tables of text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class TextTable:
    """A table in sections; the first column is text, all others are figures.

    Attributes:
        title: shown above.
        header: names of the columns.
        sections: rows of cells, section by section.
        notes: lines below.
    """

    title: str
    header: Sequence[str]
    sections: list[list[Sequence[str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(
            title=self.title,
            title_justify="left",
            caption="\n".join(self.notes) or None,
            caption_justify="left",
        )
        for i, name in enumerate(self.header):
            table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i == 0)
        for section in self.sections:
            for row in section:
                table.add_row(*row)
            table.add_section()
        return table

    def markdown(self) -> str:
        """For a file."""
        lines = [self.title, "", _line(self.header), _line([":--"] + ["--:"] * (len(self.header) - 1))]
        lines += [_line(row) for section in self.sections for row in section]
        if self.notes:
            lines += ["", *(f"{note}  " for note in self.notes)]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
