"""Parameters fitted from telemetry are those it was drawn from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from simulations.errors import SimulationError
from simulations.plant.calibration import fit_delay, fit_histogram, fit_service
from simulations.plant.delays import start_up_delays_ms
from simulations.plant.parameters import Delay, ServiceTime, StartUp

RANDOM = np.random.default_rng(7)
EXPONENTIAL = RANDOM.exponential(0.2, 50_000)
LOG_NORMAL = RANDOM.lognormal(np.log(0.2) - 0.5, 1.0, 50_000)


def test_start_up_is_found_again():
    """Draws of the plant itself give back the delay they were drawn from."""
    delay = Delay(median_seconds=15, p95_seconds=45)
    draws = start_up_delays_ms(StartUp(container=delay), seed=1, count=4096) / 1000
    fitted = fit_delay(draws, what="start-up")
    assert fitted.median_seconds == pytest.approx(15, rel=0.05)
    assert fitted.p95_seconds == pytest.approx(45, rel=0.07)


@pytest.mark.parametrize(
    "seconds",
    [
        RANDOM.uniform(10, 25, 1000),
        np.concatenate([RANDOM.uniform(2, 3, 700), RANDOM.uniform(60, 90, 300)]),
    ],
    ids=["evenly spread", "two kinds"],
)
def test_start_up_of_any_shape_is_found_again(seconds):
    """Where durations are not log-normal, draws are still spread as they are, to one in twenty."""
    fitted = StartUp(container=fit_delay(seconds, what="start-up"))
    draws = np.sort(start_up_delays_ms(fitted, seed=1, count=4096) / 1000)
    shares = np.searchsorted(draws, np.sort(seconds)) / len(draws)
    assert np.abs(shares - np.arange(len(seconds)) / len(seconds)).max() < 0.05


def test_few_durations_are_taken_to_be_log_normal():
    """Twenty do not show a shape; a delay without one is written as ever."""
    fitted = fit_delay(np.linspace(10, 25, 20), what="start-up")
    assert fitted.quantiles_seconds == ()
    assert set(msgspec.to_builtins(fitted)) == {"median_seconds", "p95_seconds"}


def test_a_delay_grows_in_every_quantile():
    """Twice as long: median, 95th percentile and every other."""
    delay = Delay(median_seconds=5, p95_seconds=9, quantiles_seconds=(1, 5, 9.5))
    assert delay.times(2) == Delay(median_seconds=10, p95_seconds=18, quantiles_seconds=(2, 10, 19))


@pytest.mark.parametrize("quantiles", [(5.0,), (5.0, 4.0)])
def test_quantiles_must_ascend(quantiles):
    """One is none, and they do not fall."""
    with pytest.raises(ValueError, match="two ascending durations"):
        Delay(median_seconds=5, p95_seconds=6, quantiles_seconds=quantiles)


@pytest.mark.parametrize(
    ("seconds", "shape", "cv2"),
    [
        (EXPONENTIAL, ServiceTime.EXPONENTIAL, 1.0),
        (LOG_NORMAL, ServiceTime.LOG_NORMAL, np.e - 1),
        (np.full(100, 0.2), ServiceTime.DETERMINISTIC, 0.0),
    ],
)
def test_service_times_are_found_again(seconds, shape, cv2):
    """Mean, shape and variation."""
    fitted = fit_service(seconds, concurrency=4)
    assert (fitted.shape, fitted.concurrency) == (shape, 4)
    assert fitted.mean_seconds == pytest.approx(0.2, rel=0.03)
    assert fitted.cv2 == pytest.approx(cv2, abs=0.15)


def test_a_histogram_gives_about_the_same():
    """Buckets of a Prometheus lose little of mean and variation."""
    bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, np.inf]
    counts = [(bound >= EXPONENTIAL).sum() for bound in bounds]
    fitted = fit_histogram(bounds, counts, concurrency=4)
    assert fitted.shape is ServiceTime.EXPONENTIAL
    assert fitted.mean_seconds == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [([0.1, 0.2], [50, 90]), ([0.2, 0.1, np.inf], [1, 50, 90]), ([0.1, np.inf], [90, 50])],
)
def test_what_is_no_histogram_is_refused(bounds, counts):
    """No infinite bound, falling bounds, falling counts."""
    with pytest.raises(SimulationError, match="histogram"):
        fit_histogram(bounds, counts, concurrency=1)


def test_few_observations_say_nothing():
    """Nineteen pods have no 95th percentile worth the name."""
    with pytest.raises(SimulationError, match="19 observations"):
        fit_delay(np.ones(19), what="start-up")


def test_the_command_prints_yaml_and_names_what_is_missing(tmp_path):
    """What was measured is there, what was not is named and not guessed."""
    path = tmp_path / "times.csv"
    path.write_text("seconds\n" + "\n".join(f"{value:.6f}" for value in EXPONENTIAL[:2000]))
    command = ["simulate", "calibrate", "--service-times", str(path)]
    result = CliRunner().invoke(app, [*command, "--concurrency", "4"])
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["service"]["shape"] == "exponential"
    assert "# start_up is not known" in result.stdout
    assert "# lag_seconds is not known" in result.stdout
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--concurrency" in refused.stderr
