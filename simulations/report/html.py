"""One HTML file per report: styles and charts inside, nothing loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import msgspec

from simulations.errors import SimulationError
from simulations.report.drawing import INK
from simulations.report.tables import Table

_OUTSIDE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>\s*", re.DOTALL)
_NAMED = re.compile(r"""(\bid="|\bhref="#|\burl\(#)""")


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart as SVG, with what it shows."""

    title: str
    svg: bytes
    note: str = ""

    def inline(self, number: int) -> str:
        """Return the SVG element alone: scaled to the page, in its colour of text.

        Args:
            number: Of the chart on its page; keeps the names inside apart from other charts'.
        """
        text = _OUTSIDE.sub("", self.svg.decode())
        text = _NAMED.sub(rf"\g<1>c{number}-", text).replace(INK, "currentColor")
        opening = f'<svg class="chart" role="img" aria-label="{escape(self.title)}" '
        return text.replace("<svg ", opening, 1)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A report.

    Attributes:
        title: Heading.
        lead: Sentences under it, with the result first.
        failures: Criteria that were not kept.
        parts: Tables and charts in order.
        code: A file ready to use, shown at the end.
        facts: Name and value of what it rests on: trace, seeds, step, version.
    """

    title: str
    lead: tuple[str, ...]
    parts: tuple[Table | Chart, ...]
    failures: tuple[str, ...] = ()
    code: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def render(page: Page) -> str:
    """Return the report as HTML."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise SimulationError(
            "HTML reports need the extra simulate: pip install 'flyball[simulate]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("simulations.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    return template.render(page=page, parts=_parts(page.parts))


def _parts(parts: Sequence[Table | Chart]) -> list[tuple[str, Table | Chart]]:
    return [("table" if isinstance(part, Table) else "chart", part) for part in parts]
