"""Numbers out of answers: gjson paths, YAML, XML and the Prometheus text format."""

from __future__ import annotations

import json

import pytest

from autoscaler.errors import MetricMalformed
from autoscaler.sdk import gjson
from autoscaler.sdk.documents import SLOW_FORMAT_LIMIT, Document, Format

DATA = {
    "name": {"first": "Ann", "last.one": "Bee"},
    "n": 5,
    "list": [1, 2, [3, 4]],
    "jobs": [
        {"id": "a", "size": 3, "tags": ["x", "y"]},
        {"id": "b", "size": 9, "tags": ["z"]},
        {"id": "ab", "size": 9, "tags": []},
    ],
    "0": "zero",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("n", 5),
        ("name.first", "Ann"),
        (r"name.last\.one", "Bee"),
        ("name.f*", "Ann"),
        ("name.?irst", "Ann"),
        (r"name.f\*", gjson.MISSING),
        ("list.1", 2),
        ("list.2.0", 3),
        ("list.9", gjson.MISSING),
        ("list.x", gjson.MISSING),
        ("0", "zero"),
        ("n.deeper", gjson.MISSING),
        ("list.#", 3),
        ("jobs.#", 3),
        ("jobs.#.size", [3, 9, 9]),
        ("jobs.#.tags.#", [2, 1, 0]),
        ("jobs.#.none", []),
        ('jobs.#(id=="b").size', 9),
        ('jobs.#(id="b").size', 9),
        ("jobs.#(size>3).id", "b"),
        ("jobs.#(size>=9)#.id", ["b", "ab"]),
        ("jobs.#(size>=9)#|#", 2),
        ("jobs.#(size<3).id", gjson.MISSING),
        ('jobs.#(id!="a")#.id', ["b", "ab"]),
        ('jobs.#(id%"a*")#.id', ["a", "ab"]),
        ('jobs.#(id!%"a*")#.id', ["b"]),
        ('jobs.#(tags.0=="z").id', "b"),
        ("list.#(>1)", 2),
        ("jobs.@reverse.0.id", "ab"),
        ("list|@flatten|#", 4),
        ("name.@values.0", "Ann"),
        ("name.@keys.1", "last.one"),
        ("@this.n", 5),
        ("..0.n", 5),
    ],
)
def test_a_gjson_path_finds_the_value(path: str, value: object) -> None:
    """Each supported piece of notation leads where gjson leads."""
    assert gjson.get(DATA, path) == value


@pytest.mark.parametrize("path", ["{a,b}", "[a,b]", "list.@group", "jobs.#(a", "x" * 2000])
def test_unsupported_notation_is_refused(path: str) -> None:
    """What we cannot evaluate is an error, never a guess."""
    with pytest.raises(ValueError, match=r"."):
        gjson.get(DATA, path)


EXPOSITION = """
# TYPE jobs gauge
jobs{queue="a",zone="x"} 3
jobs{queue="b"} 7 1700000000000
jobs_total 9
odd{text="a \\"quoted\\" \\\\ one"} 1.5e2
bad{ 4
"""


@pytest.mark.parametrize(
    ("kind", "body", "location", "value"),
    [
        ("json", '{"a": {"b": 2.5}}', "a.b", 2.5),
        ("json", '{"a": "500m"}', "a", 0.5),
        ("json", '{"a": "1.5Ki"}', "a", 1536.0),
        ("json", "[1, 2]", "1", 2.0),
        ("yaml", "a:\n  - b: 7\n", "a.0.b", 7.0),
        ("yaml", "a: 0o17", "a", 15.0),
        ("yaml", "a: 10Mi", "a", 10485760.0),
        ("xml", "<q><waiting>4</waiting></q>", "q.waiting", 4.0),
        ("xml", '<q n="6"><a/></q>', "q.#attr.n", gjson.MISSING),
        ("xml", "<q><j>1</j><j>2</j></q>", "q.j.1", 2.0),
        ("prometheus", EXPOSITION, "jobs", 3.0),
        ("prometheus", EXPOSITION, 'jobs{queue="b"}', 7.0),
        ("prometheus", EXPOSITION, 'jobs{queue!="a"}', 7.0),
        ("prometheus", EXPOSITION, 'jobs{zone="x", queue="a",}', 3.0),
        ("prometheus", EXPOSITION, '{__name__="jobs", zone="x"}', 3.0),
        ("prometheus", EXPOSITION, "jobs{}", 3.0),
        ("prometheus", EXPOSITION, "jobs_total", 9.0),
        ("prometheus", EXPOSITION, r'odd{text="a \"quoted\" \\ one"}', 150.0),
    ],
)
def test_a_location_leads_to_its_number(
    kind: Format, body: str, location: str, value: object
) -> None:
    """Numbers and quantities are found in every format."""
    if value is gjson.MISSING:
        with pytest.raises(MetricMalformed):
            Document(body.encode(), kind).number(location)
    else:
        assert Document(body.encode(), kind).number(location) == value


@pytest.mark.parametrize(
    ("kind", "body", "location"),
    [
        ("json", "", "a"),
        ("json", "<html>", "a"),
        ("json", '{"a": 1', "a"),
        ("json", '{"a": NaN}', "a"),
        ("json", '{"a": 1e999}', "a"),
        ("json", '{"a": true}', "a"),
        ("json", '{"a": null}', "a"),
        ("json", '{"a": {}}', "a"),
        ("json", '{"a": ""}', "a"),
        ("json", '{"a": " 5"}', "a"),
        ("json", '{"a": 1}', "b"),
        ("json", "[" * 100_000, "a"),
        ("yaml", "a: [1", "a"),
        ("yaml", "a: yes", "a"),
        ("yaml", "a: !!python/object:os.system x", "a"),
        ("yaml", "a: {}", "a"),
        ("yaml", "[" * 5000, "a"),
        ("yaml", "a: " + "1" * (SLOW_FORMAT_LIMIT + 1), "a"),
        ("xml", "<a>", "a"),
        ("xml", '<!DOCTYPE a [<!ENTITY b "1">]><a>&b;</a>', "a"),
        ("xml", "<a>text</a>", "a"),
        ("prometheus", EXPOSITION, "missing"),
        ("prometheus", EXPOSITION, "bad"),
        ("prometheus", EXPOSITION, 'jobs{queue=~"a"}'),
        ("prometheus", EXPOSITION, "jobs{queue=a}"),
        ("prometheus", EXPOSITION, "jobs{"),
        ("prometheus", EXPOSITION, 'jobs{queue="z"}'),
        ("prometheus", "jobs five\n", "jobs"),
        ("prometheus", "jobs 5\n<<<\n", "jobs"),
        ("prometheus", EXPOSITION, 'jobs{zone=""}'),
        ("prometheus", EXPOSITION, ""),
    ],
)
def test_anything_else_is_an_error(kind: Format, body: str, location: str) -> None:
    """Broken bodies, wrong types and missing values are malformed, never a number."""
    with pytest.raises(MetricMalformed):
        Document(body.encode(), kind).number(location)


def test_bytes_that_are_no_text_are_an_error() -> None:
    """Every format refuses bytes of another kind."""
    for kind in ("json", "yaml", "xml", "prometheus"):
        with pytest.raises(MetricMalformed):
            Document(json.dumps("x").encode("utf-32") + b"\xff", kind).number("a")
