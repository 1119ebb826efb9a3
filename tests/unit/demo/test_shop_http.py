"""The shop's metrics pages: what the scalers read."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.demo.shop_http import QueryError, Series, exposition, select

SERIES: Series = {
    ("shop_requests_per_second", (("app", "web"),)): 30.0,
    ("shop_requests_per_second", (("app", "api"),)): 12.5,
    ("shop_orders_queued", ()): 7.0,
}


def test_exposition_is_read_back_by_the_official_parser() -> None:
    """Names, labels, kinds and values survive."""
    families = {
        family.name: family for family in text_string_to_metric_families(exposition(SERIES))
    }
    samples = families["shop_requests_per_second"].samples
    assert {sample.labels["app"]: sample.value for sample in samples} == {"web": 30.0, "api": 12.5}
    assert families["shop_requests_per_second"].type == "gauge"
    assert families["shop_orders_queued"].samples[0].value == 7.0


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("shop_orders_queued", [7.0]),
        ('shop_requests_per_second{app="web"}', [30.0]),
        ('shop_requests_per_second{app!="web"}', [12.5]),
        ("shop_requests_per_second", [30.0, 12.5]),
        ("sum(shop_requests_per_second)", [42.5]),
        ('sum( shop_requests_per_second{app="api"} )', [12.5]),
        ("no_such_series", []),
        ("sum(no_such_series)", []),
    ],
)
def test_instant_queries(query: str, values: list[float]) -> None:
    """Names, matchers and sums give the values; nothing gives nothing."""
    assert [value for _, value in select(query, SERIES)] == values


@pytest.mark.parametrize(
    "query", ["rate(shop_orders_queued[1m])", 'shop_orders_queued{app=~"w.*"}', "1 + 1", ""]
)
def test_other_queries_are_refused(query: str) -> None:
    """This is no Prometheus, and it says so instead of guessing."""
    with pytest.raises(QueryError):
        select(query, SERIES)
