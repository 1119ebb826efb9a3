"""The reference page of workloads lists what there is."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import msgspec

from simulations.workload.catalogue import TRACES
from simulations.workload.generators import Generator
from simulations.workload.importers.prometheus import Access
from simulations.workload.model import WorkloadModel

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "workloads.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """Return the table under a heading: code of the first cell to the whole row."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            found.update(dict.fromkeys(re.findall(r"`([^`]+)`", line.split("|")[1]), line))
    return found


def test_every_trace_is_on_the_page():
    """Names and descriptions are those of the catalogue."""
    found = rows("Shipped traces")
    assert list(found) == list(TRACES)
    assert all(TRACES[name].about in row for name, row in found.items())


def test_every_generator_is_on_the_page_with_its_parameters():
    """A parameter nobody can read about is none."""
    found = rows("Generators")
    kinds = {str(kind.__struct_config__.tag): kind for kind in typing.get_args(Generator)}
    assert list(found) == list(kinds)
    shared = {"duration_seconds", "step_seconds", "noise_ratio", "seed"}
    for name, kind in kinds.items():
        text = found["diurnal"] + found[name] if name == "weekly" else found[name]
        own = {field.name for field in msgspec.structs.fields(kind)} - shared
        assert all(f"`{parameter}`" in text for parameter in own), name


def test_every_option_is_on_the_page():
    """Options of sections and of the access to a Prometheus are explained."""
    for model in (WorkloadModel, Access):
        for field in msgspec.structs.fields(model):
            assert f"`{field.name}`" in PAGE, field.name
