"""How the importer asks a Prometheus, and what it makes of odd answers.

A real one is in ``tests/integration/test_prometheus_history.py``.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from simulations.errors import SimulationError
from simulations.workload.importers import prometheus
from simulations.workload.importers.prometheus import POINTS_PER_QUERY, Access, query_range
from simulations.workload.trace import Trace
from tests.servers import free_port
from tests.servers.answering_prometheus import Told, body, serving
from tests.servers.certificates import Certificates
from tests.servers.process import ServerMissing

AT = 1_704_067_200.0


@pytest.fixture
def told() -> Iterator[Told]:
    """A server without TLS."""
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(prometheus, "RETRY_BACKOFF_SECONDS", 0.0)


def ask(told: Told, query: str = "hits", *, hours: float = 1, **access: Any) -> Trace:
    """Return the import of some hours."""
    return query_range(
        Access(**{"url": told.url, **access}),
        query,
        from_at=AT,
        to_at=AT + hours * 3600,
        step_seconds=60,
    )


def test_instants_are_whole_steps_and_none_is_asked_twice(told):
    """Any range is asked for on multiples of the step, each instant once, in parts."""
    trace = query_range(
        Access(url=told.url), "hits", from_at=AT + 7, to_at=AT + 60 * 25_000 + 3, step_seconds=60
    )
    assert trace.start_at == AT + 60
    assert len(trace.values) == 25_000
    assert (trace.values == 1).all()
    parts = [(int(asked["start"]), int(asked["end"])) for asked in told.queries]
    assert len(parts) == 3
    assert parts[0][0] == AT + 60
    assert parts[-1][1] == AT + 60 * 25_000
    for (_, last), (first, _) in pairwise(parts):
        assert first == last + 60
    assert max((last - first) // 60 + 1 for first, last in parts) <= POINTS_PER_QUERY < 11_000
    assert {asked["step"] for asked in told.queries} == {"60"}


def test_what_is_no_number_is_missing(told):
    """Instants left out, NaN, infinities and native histograms are missing, never zero."""
    values = [[AT, "1.5"], [AT + 120, "NaN"], [AT + 180, "+Inf"], [AT + 240, "0"]]
    told.answers = [(200, body([{"metric": {}, "values": values, "histograms": []}]))]
    trace = ask(told, hours=0.1)
    np.testing.assert_array_equal(trace.values, [1.5, np.nan, np.nan, np.nan, 0, np.nan, np.nan])
    told.answers = [(200, body([{"metric": {}, "histograms": [[AT, {"count": "1"}]]}]))]
    with pytest.raises(SimulationError, match="gave no value"):
        ask(told)


def test_tokens_and_headers_are_sent_with_every_query(told, tmp_path):
    """A bearer token, from the scenario or a file, and further headers go along."""
    token = tmp_path / "token"
    token.write_text("from-file\n")
    ask(told, bearer_token="secret", headers={"X-Scope-OrgID": "shop"})
    ask(told, bearer_token_file=str(token))
    ask(told)
    first, second, third = told.headers
    assert (first["Authorization"], first["X-Scope-OrgID"]) == ("Bearer secret", "shop")
    assert second["Authorization"] == "Bearer from-file"
    assert "Authorization" not in third
    with pytest.raises(SimulationError, match="bearer_token_file cannot be read"):
        ask(told, bearer_token_file=str(tmp_path / "none"))


def test_a_password_in_the_address_is_used_and_never_shown(told):
    """User and password become basic authentication; source and errors do not hold them."""
    url = told.url.replace("http://", "http://ann:hunter2@")
    trace = ask(told, url=url)
    assert told.headers[0]["Authorization"].startswith("Basic ")
    assert trace.source == f"{told.url} hits"
    gone = f"http://ann:hunter2@127.0.0.1:{free_port()}"
    for answer, at in (((400, b"bad"), url), ((200, b"{}"), url), (None, gone)):
        told.answers = [answer] if answer else []
        with pytest.raises(SimulationError) as caught:
            ask(told, url=at)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(told, status):
    """A query that fails three times in passing is answered by the fourth."""
    told.answers = [(status, b"later")] * 3
    assert (ask(told).values == 1).all()
    assert len(told.queries) == 4


def test_lasting_errors_end_the_import(told):
    """After the last retry the address is named; a refusal is not tried again."""
    told.answers = [(503, b"down")] * 9
    with pytest.raises(SimulationError, match=f"{told.url} does not answer: .*503") as caught:
        ask(told)
    assert caught.value.field == "prometheus"
    assert len(told.queries) == 4
    told.answers = [(422, b'{"error": "too many samples"}')]
    with pytest.raises(SimulationError, match=r"refuses the query .hits.: .*too many samples"):
        ask(told)
    assert len(told.queries) == 5


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"[]", b'{"data": null}'])
def test_other_servers_are_no_prometheus(told, content):
    """An answer of another form is not taken for an empty one."""
    told.answers = [(200, content)]
    with pytest.raises(SimulationError, match="answers, but not as a Prometheus does"):
        ask(told)


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "http://[::1"])
def test_addresses_that_are_none_are_named(url):
    """What is no http address is refused before anything is asked."""
    with pytest.raises(SimulationError, match="must be an address such as http://") as caught:
        msgspec.convert({"url": url}, Access)
    assert caught.value.field == "prometheus.url"


def test_without_its_extra_it_says_what_to_install(told, monkeypatch):
    """Where the client library is missing the error names the extra."""
    monkeypatch.setitem(sys.modules, "prometheus_api_client", None)
    with pytest.raises(SimulationError, match=r"pip install 'flyball\[backtest\]'"):
        ask(told)


def test_ranges_without_whole_steps_are_refused(told):
    """Ends before beginnings and parts of seconds are no range; nothing is asked."""
    for to_at, step in ((AT, 60), (AT - 1, 60), (AT + 60, 0.5), (AT + 60, 1.5)):
        with pytest.raises(SimulationError, match="no range of whole seconds"):
            query_range(Access(url=told.url), "hits", from_at=AT, to_at=to_at, step_seconds=step)
    assert not told.queries


def test_certificates_are_checked_as_told(tmp_path: Path):
    """An unknown authority is refused, one in ``ca_file`` trusted; clients can show their own."""
    try:
        issued = Certificates(tmp_path)
    except ServerMissing as why:
        pytest.skip(str(why))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.server, issued.server_key)
    tls.load_verify_locations(issued.ca)
    ca = {"ca_file": str(issued.ca)}
    with serving(tls) as told:
        with pytest.raises(SimulationError, match=r"does not answer: .*certificate"):
            ask(told)
        assert (ask(told, **ca).values == 1).all()
        with pytest.raises(SimulationError, match=r"does not answer: .*none"):
            ask(told, ca_file=str(tmp_path / "none"))
        with pytest.warns(Warning, match="Unverified HTTPS request"):
            assert (ask(told, insecure_skip_verify=True).values == 1).all()
        tls.verify_mode = ssl.CERT_REQUIRED
        with pytest.raises(SimulationError, match="does not answer"):
            ask(told, **ca)
        shown = {"cert_file": str(issued.client), "key_file": str(issued.client_key)}
        assert (ask(told, **ca, **shown).values == 1).all()
