"""Tables and progress on the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from simulations.report.tables import Table


def show(console: Console, table: Table) -> None:
    """Print a table."""
    # As Text, because derivations and names may hold what rich would take for markup.
    shown = RichTable(
        title=Text(table.title, style="bold"),
        title_justify="left",
        caption=Text(table.note) if table.note else None,
        caption_justify="left",
    )
    for number, name in enumerate(table.header):
        first = number == 0
        shown.add_column(
            Text(name), justify="left" if first else "right", no_wrap=first, overflow="fold"
        )
    for number, row in enumerate(table.rows):
        shown.add_row(*map(Text, row), style="bold" if number in table.marked else None)
    console.print(shown)


@contextmanager
def progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while something lasts; the function given takes what is done and the total."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
