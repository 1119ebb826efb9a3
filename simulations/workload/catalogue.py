"""The shipped traces by name."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
from datetime import datetime
from importlib.resources import files
from typing import Final

import msgspec
import numpy as np

from simulations.errors import SimulationError
from simulations.workload.trace import Trace, Unit


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A shipped trace.

    Attributes:
        path: Below ``simulations/traces``.
        step_seconds: Of the file.
        unit: What a value counts.
        about: One line for lists.
        licence: Of the source.
        zero_is_gap: Zeros are gaps of the recording.
        smooth_seconds: Mean over this time before use: counts so small that, scaled up, most of
            their variation would be chance that is added again.
    """

    path: str
    step_seconds: float
    unit: Unit
    about: str
    licence: str
    zero_is_gap: bool = False
    smooth_seconds: float = 0.0


def _cloud(name: str, about: str) -> Listed:
    return Listed(
        path=f"ms_cloud_monitoring/{name}.csv.gz",
        step_seconds=60,
        unit=Unit.PER_SECOND,
        about=about,
        licence="MIT",
    )


def _tweets(name: str) -> Listed:
    return Listed(
        path=f"nab/Twitter_volume_{name}.csv.gz",
        step_seconds=300,
        unit=Unit.PER_STEP,
        about="tweets about a company, flash crowds, 55 days at 5 min",
        licence="MIT",
    )


def _serving(name: str, about: str) -> Listed:
    return Listed(
        path=f"servegen/llm_{name}_rps_10min.csv.gz",
        step_seconds=600,
        unit=Unit.PER_SECOND,
        about=about,
        licence="Apache-2.0",
        zero_is_gap=True,
    )


TRACES: Final[dict[str, Listed]] = {
    "worldcup98": Listed(
        path="worldcup98/requests_1min.csv.gz",
        step_seconds=60,
        unit=Unit.PER_STEP,
        about="football world cup site, ramp and flash crowds, 87 days at 1 min",
        licence="Internet Traffic Archive notice, MIT",
        zero_is_gap=True,
    ),
    "ingress-01": _cloud("ingress-01", "service ingress, flat with dips, 11 days at 1 min"),
    "ingress-03": _cloud("ingress-03", "service ingress, diurnal, 11 days at 1 min"),
    "ingress-04": _cloud("ingress-04", "service ingress, strongly diurnal, 11 days at 1 min"),
    "ingress-05": _cloud("ingress-05", "service ingress, spikes, 11 days at 1 min"),
    "mongo-01": _cloud("mongo-01", "database queries, diurnal, 11 days at 1 min"),
    "mongo-02": _cloud("mongo-02", "database queries, diurnal, 11 days at 1 min"),
    "mongo-03": _cloud("mongo-03", "database queries, smooth and diurnal, 11 days at 1 min"),
    "mongo-04": _cloud("mongo-04", "database queries, level shifts, 11 days at 1 min"),
    "machine-01": _cloud("machine-01", "requests of one machine, outages, 14 days at 1 min"),
    "ecommerce": Listed(
        path="ms_cloud_monitoring/ecommerce_api_rps_1h.csv.gz",
        step_seconds=3600,
        unit=Unit.PER_SECOND,
        about="shop API, daily and weekly, 258 days at 1 h",
        licence="MIT",
    ),
    "elb": Listed(
        path="nab/elb_request_count_8c0756.csv.gz",
        step_seconds=300,
        unit=Unit.PER_STEP,
        about="load balancer requests, bursty, 14 days at 5 min",
        licence="MIT",
        smooth_seconds=900,
    ),
    "tweets-aapl": _tweets("AAPL"),
    "tweets-amzn": _tweets("AMZN"),
    "tweets-fb": _tweets("FB"),
    "tweets-goog": _tweets("GOOG"),
    "taxi": Listed(
        path="nab/nyc_taxi.csv.gz",
        step_seconds=1800,
        unit=Unit.PER_STEP,
        about="taxi passengers, daily and weekly, 215 days at 30 min",
        licence="MIT",
    ),
    "appserver": Listed(
        path="appserver_hourly/requests_1h.csv.gz",
        step_seconds=3600,
        unit=Unit.PER_STEP,
        about="application cluster, very regular, 5 years at 1 h",
        licence="MIT",
    ),
    "llm-large": _serving("m_large", "LLM serving, weak daily pattern, 14 days at 10 min"),
    "llm-mid": _serving("m_mid", "LLM serving with gaps, 14 days at 10 min"),
    "llm-small": _serving("m_small", "LLM serving, daily pattern, 14 days at 10 min"),
    "llm-reasoning": _serving("deepseek_r1", "LLM serving, one day at 10 min"),
    "llm-image": _serving("mm_image", "multi-modal LLM serving, one day at 10 min"),
    "llm-conversation": Listed(
        path="azure_llm_2023/conv_requests_1s.csv.gz",
        step_seconds=1,
        unit=Unit.PER_STEP,
        about="LLM conversations, smooth, one hour at 1 s",
        licence="CC-BY-4.0",
        smooth_seconds=30,
    ),
    "llm-long-context": Listed(
        path="mooncake/conversation_requests_1s.csv.gz",
        step_seconds=1,
        unit=Unit.PER_STEP,
        about="LLM conversations with long context, bursts, one hour at 1 s",
        licence="Apache-2.0",
        smooth_seconds=30,
    ),
    "batch-2009": Listed(
        path="swim_facebook/fb2009_jobs_1min.csv.gz",
        step_seconds=60,
        unit=Unit.PER_STEP,
        about="batch jobs, one day at 1 min",
        licence="BSD-3-Clause",
        smooth_seconds=660,
    ),
    "batch-2010": Listed(
        path="swim_facebook/fb2010_jobs_1min.csv.gz",
        step_seconds=60,
        unit=Unit.PER_STEP,
        about="batch jobs, one day at 1 min",
        licence="BSD-3-Clause",
        smooth_seconds=660,
    ),
}


def load_trace(name: str) -> Trace:
    """Return a shipped trace, with gaps as missing values and smoothed where it is listed so.

    Raises:
        SimulationError: There is no trace of the name.
    """
    listed = TRACES.get(name)
    if listed is None:
        close = difflib.get_close_matches(name, TRACES, n=1)
        guess = f', did you mean "{close[0]}"?' if close else ""
        raise SimulationError(f'no trace "{name}"{guess}; there are: {", ".join(TRACES)}')
    packed = files("simulations").joinpath("traces", listed.path).read_bytes()
    rows = list(csv.reader(io.StringIO(gzip.decompress(packed).decode())))[1:]
    values = np.array([float(value) if value else np.nan for _, value in rows])
    if listed.zero_is_gap:
        values = np.where(values == 0, np.nan, values)
    trace = Trace(
        name=name,
        start_at=datetime.fromisoformat(rows[0][0]).timestamp(),
        step_seconds=listed.step_seconds,
        values=values,
        unit=listed.unit,
        source=f"simulations/traces/{listed.path} ({listed.licence})",
    )
    return smoothed(trace, listed.smooth_seconds) if listed.smooth_seconds else trace


def smoothed(trace: Trace, seconds: float) -> Trace:
    """Return the trace with every value the mean of the known ones around it.

    The mean is centred, so it defines what the load is; it is no forecast and nothing an
    autoscaler sees.
    """
    length = len(trace.values)
    beside = min(round(seconds / trace.step_seconds) // 2, length)
    known = ~np.isnan(trace.values)
    places = np.arange(length)
    first, last = np.maximum(places - beside, 0), np.minimum(places + beside + 1, length)
    until = np.concatenate([[0.0], np.cumsum(np.where(known, trace.values, 0.0))])
    known_until = np.concatenate([[0], np.cumsum(known)])
    sums = np.maximum(until[last] - until[first], 0.0)
    counts = known_until[last] - known_until[first]
    values = np.full(length, np.nan)
    np.divide(sums, counts, out=values, where=known & (counts > 0))
    return msgspec.structs.replace(trace, values=values)
