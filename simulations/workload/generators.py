"""Synthetic load: one struct per shape, each a function of time, its parameters and a seed.

All rates are requests per second. ``noise_ratio`` multiplies every step with an independent
log-normal factor of mean 1 and that standard deviation (of its logarithm).
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec
import numpy as np
from typing_extensions import override

from simulations.errors import SimulationError
from simulations.workload.trace import STEPS_MAX, Floats, Trace

DAY: Final = 86_400.0
HOUR: Final = 3600.0
NORMAL_P95: Final = 1.6448536269514722
DRAWN_AT_ONCE: Final = 1_000_000
"""Requests whose sizes are in memory at the same time."""
SATURDAY: Final = 5
START_AT: Final = 1_704_067_200.0
"""2024-01-01T00:00:00Z, a Monday."""

Rate = Annotated[float, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Length = Annotated[float, msgspec.Meta(gt=0)]
Ratio = Annotated[float, msgspec.Meta(ge=0)]


class Shape(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="generator",
    tag=True,
):
    """What all generators share.

    Attributes:
        duration_seconds: Length.
        step_seconds: Of the values.
        noise_ratio: Independent noise per step.
        seed: Of noise and random shapes.
    """

    duration_seconds: Length = DAY
    step_seconds: Length = 60.0
    noise_ratio: Ratio = 0.0
    seed: int = 0

    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rate at the middle of each step, ``at`` seconds after the start."""
        raise NotImplementedError

    def trace(self) -> Trace:
        """Return the generated trace.

        Raises:
            SimulationError: It would have too many steps, or infinite load.
        """
        steps = max(1, round(self.duration_seconds / self.step_seconds))
        if steps > STEPS_MAX:
            raise SimulationError(
                f"duration_seconds {self.duration_seconds:g} at step_seconds "
                f"{self.step_seconds:g} are {steps} steps, must be at most {STEPS_MAX}",
                field="duration_seconds",
            )
        at = np.arange(0.5, steps, dtype=np.float64) * self.step_seconds
        random = np.random.default_rng([self.seed, 0x4C44])
        rates = np.broadcast_to(self.rates(at, random), at.shape).astype(np.float64)
        if self.noise_ratio > 0:
            sigma = self.noise_ratio
            rates *= random.lognormal(-(sigma**2) / 2, sigma, steps)
        return Trace(
            name=str(self.__struct_config__.tag),
            start_at=START_AT,
            step_seconds=self.step_seconds,
            values=np.maximum(rates, 0.0),
        )


class Constant(Shape, frozen=True, kw_only=True, tag="constant"):
    """The same all the time."""

    per_second: Rate

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        return np.full(len(at), self.per_second)


class Sinusoid(Shape, frozen=True, kw_only=True, tag="sinusoid"):
    """Waves around a mean, which begin rising."""

    mean_per_second: Rate
    amplitude_per_second: Rate
    period_seconds: Length

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        wave = np.sin(2 * math.pi * at / self.period_seconds)
        return self.mean_per_second + self.amplitude_per_second * wave


class Diurnal(Shape, frozen=True, kw_only=True, tag="diurnal"):
    """A daily wave; nights are flatter than days.

    Attributes:
        mean_per_second: Mean over a day, about.
        swing_ratio: Amplitude relative to the mean, 0..1.
        peak_hour: Hour of the day (UTC) with the most load.
    """

    mean_per_second: Rate
    swing_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.6
    peak_hour: float = 15.0

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        return self.mean_per_second * daily_profile(at, self.swing_ratio, self.peak_hour)


class Weekly(Shape, frozen=True, kw_only=True, tag="weekly"):
    """A daily wave that is lower on Saturdays and Sundays.

    Attributes:
        mean_per_second: Mean over a working day, about.
        weekend_ratio: Load of a weekend day relative to a working day.
    """

    mean_per_second: Rate
    duration_seconds: Length = 7 * DAY
    swing_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.6
    peak_hour: float = 15.0
    weekend_ratio: Ratio = 0.5

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        is_weekend = (at // DAY).astype(np.int64) % 7 >= SATURDAY
        level = np.where(is_weekend, self.weekend_ratio, 1.0)
        profile = daily_profile(at, self.swing_ratio, self.peak_hour)
        return self.mean_per_second * level * profile


class Step(Shape, frozen=True, kw_only=True, tag="step"):
    """One sudden change."""

    before_per_second: Rate
    after_per_second: Rate
    at_seconds: Seconds

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        return np.where(at < self.at_seconds, self.before_per_second, self.after_per_second)


class Ramp(Shape, frozen=True, kw_only=True, tag="ramp"):
    """A change along a line."""

    before_per_second: Rate
    after_per_second: Rate
    from_seconds: Seconds
    to_seconds: Seconds

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        times = [self.from_seconds, max(self.to_seconds, self.from_seconds + 1e-9)]
        return np.interp(at, times, [self.before_per_second, self.after_per_second])


class Burst(Shape, frozen=True, kw_only=True, tag="burst"):
    """Bursts at equal distances."""

    base_per_second: Rate
    burst_per_second: Rate
    every_seconds: Length
    length_seconds: Length

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        is_burst = at % self.every_seconds >= self.every_seconds - self.length_seconds
        return np.where(is_burst, self.burst_per_second, self.base_per_second)


class FlashCrowd(Shape, frozen=True, kw_only=True, tag="flash-crowd"):
    """A steep rise to a peak that decays exponentially.

    Attributes:
        rise_seconds: From the base to the peak, along a line.
        half_life_seconds: What is above the base halves in this time.
    """

    base_per_second: Rate
    peak_per_second: Rate
    at_seconds: Seconds
    rise_seconds: Length = 120.0
    half_life_seconds: Length = 1800.0

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        since = at - self.at_seconds
        rise = np.clip(since / self.rise_seconds, 0.0, 1.0)
        decay = 0.5 ** (np.maximum(0.0, since - self.rise_seconds) / self.half_life_seconds)
        return self.base_per_second + (self.peak_per_second - self.base_per_second) * rise * decay


class Outage(Shape, frozen=True, kw_only=True, tag="outage"):
    """Load vanishes for a while and comes back with those who tried in vain.

    Attributes:
        surge_ratio: Load right after the outage, relative to the base; fades within as long as the
            outage lasted.
    """

    base_per_second: Rate
    at_seconds: Seconds
    length_seconds: Length
    surge_ratio: Ratio = 1.5

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        since_end = at - self.at_seconds - self.length_seconds
        fades = np.clip(1.0 - since_end / self.length_seconds, 0.0, 1.0)
        factor = np.where(since_end >= 0, 1.0 + (self.surge_ratio - 1.0) * fades, 1.0)
        is_out = (at >= self.at_seconds) & (since_end < 0)
        return np.where(is_out, 0.0, self.base_per_second * factor)


class Batches(Shape, frozen=True, kw_only=True, tag="batches"):
    """Batches of jobs at random instants, with geometric sizes.

    Attributes:
        batches_per_hour: Mean.
        jobs_per_batch: Mean, >= 1.
    """

    batches_per_hour: Rate
    jobs_per_batch: Annotated[float, msgspec.Meta(ge=1)]

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates."""
        batches = random.poisson(self.batches_per_hour / HOUR * self.step_seconds, len(at))
        jobs = batches.astype(np.float64)
        chance = 1.0 / self.jobs_per_batch
        if chance < 1.0:
            more = batches > 0
            jobs[more] += random.negative_binomial(batches[more], chance)
        return jobs / self.step_seconds


class Tokens(Shape, frozen=True, kw_only=True, tag="llm-tokens"):
    """LLM requests in units of work: token counts are log-normal, requests follow a daily wave.

    Attributes:
        requests_per_second: Mean.
        tokens_median: Per request, prompt and answer.
        tokens_p95: Per request.
        tokens_per_unit: One unit of work, what the plant calls a request.
        swing_ratio: Of the daily wave.
    """

    requests_per_second: Rate
    tokens_median: Length
    tokens_p95: Length
    tokens_per_unit: Length = 1000.0
    swing_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3

    @override
    def rates(self, at: Floats, random: np.random.Generator) -> Floats:
        """Return the rates, in units of work per second."""
        mean = self.requests_per_second * daily_profile(at, self.swing_ratio, 15.0)
        requests = random.poisson(mean * self.step_seconds)
        sigma = math.log(max(self.tokens_p95 / self.tokens_median, 1.0)) / NORMAL_P95
        sums = np.zeros(len(at))
        ends = np.cumsum(requests)
        for first in range(0, int(ends[-1]), DRAWN_AT_ONCE):
            numbers = np.arange(first, min(first + DRAWN_AT_ONCE, int(ends[-1])))
            owners = np.searchsorted(ends, numbers, side="right")
            tokens = random.lognormal(math.log(self.tokens_median), sigma, len(numbers))
            sums += np.bincount(owners, weights=tokens, minlength=len(at))
        return sums / self.tokens_per_unit / self.step_seconds


Generator = (
    Constant
    | Sinusoid
    | Diurnal
    | Weekly
    | Step
    | Ramp
    | Burst
    | FlashCrowd
    | Outage
    | Batches
    | Tokens
)


def daily_profile(at: Floats, swing_ratio: float, peak_hour: float) -> Floats:
    """Return a daily wave with mean 1: a cosine with a second harmonic that flattens the night."""
    angle = 2 * math.pi * (at / DAY - peak_hour / 24)
    wave = np.cos(angle) + 0.25 * np.cos(2 * angle)
    return np.maximum(0.0, 1.0 + swing_ratio * wave / 1.25)
