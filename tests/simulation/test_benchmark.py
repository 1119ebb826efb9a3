"""The benchmark's protocol, its arithmetic, and a small run of it from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from simulations.benchmark.__main__ import main
from simulations.benchmark.cells import Cell, Cells
from simulations.benchmark.check import first_difference
from simulations.benchmark.compare import Outcome, best_of, compare, is_harmless
from simulations.benchmark.findings import FILES, read_findings
from simulations.benchmark.protocol import (
    AS_IS,
    FACTS,
    LATE_RATIO,
    PEAK_REPLICAS,
    PROFILES,
    SENSITIVITY,
    SERVICE,
    cut,
    peak_of,
    prepare,
)
from simulations.benchmark.readme import write_readme
from simulations.benchmark.result import Day, Result, Results, write_results
from simulations.benchmark.run import (
    STATIC_PAST,
    STATIC_PEAK,
    Part,
    autoscalers_of,
    parts_of,
    run_part,
    run_parts,
    set_parts,
)
from simulations.benchmark.sensitivity import Turn, shifts, turns
from simulations.benchmark.tuned import TUNED, at_budgets, run_tuned, tuned_parts
from simulations.benchmark.worlds import run_worlds, write_worlds
from simulations.sweep.executors import Processes, Serial, local_cluster
from simulations.workload.catalogue import TRACES, load_trace
from simulations.workload.trace import Trace


def test_long_traces_are_cut_around_the_split():
    """Of 100 days, the 14 before day 60 are learned and the 7 after it scored; short ones whole."""
    hours = np.arange(100 * 24.0)
    used, learned = cut(Trace(name="long", start_at=0.0, step_seconds=3600.0, values=hours))
    assert (learned, len(used.values)) == (14 * 24, 21 * 24)
    assert used.values[learned] == 60 * 24
    assert used.start_at == 46 * 86_400

    whole, learned = cut(Trace(name="short", start_at=0.0, step_seconds=3600.0, values=hours[:240]))
    assert (learned, len(whole.values)) == (144, 240)


@pytest.mark.parametrize("name", ["mongo-01", "appserver", "llm-mid"])
def test_peak_needs_forty_replicas(name):
    """Scaled, the 99.9th percentile of the used part is what 40 replicas carry, and 41 no more."""
    prepared = prepare(name)
    used, _ = cut(load_trace(name))
    scale = prepared.load.expected / prepared.load.step_seconds
    peak = np.array([peak_of(used)])
    # The scale of the run is the scale of the trace.
    middle = prepared.load.steps // 2
    at = prepared.load.start_at + (middle + 0.5) * 5.0 - used.start_at
    rates = used.per_second()
    instants = (np.arange(len(rates)) + 0.5) * used.step_seconds
    known = ~np.isnan(rates)
    there = np.interp(at, instants[known], rates[known])
    if used.step_seconds <= 60:
        there = rates[int(at // used.step_seconds)]
    scaled = peak * scale[middle] / there
    assert prepared.table.replicas_for(scaled * 0.999, LATE_RATIO) == [PEAK_REPLICAS]
    assert prepared.table.replicas_for(scaled * 1.005, LATE_RATIO) == [PEAK_REPLICAS + 1]


def test_past_ends_where_the_run_begins():
    """Learners know the time up to the run-in, and the run-in is an hour."""
    prepared = prepare("mongo-01")
    past = prepared.past
    assert prepared.run_in_steps == 720
    assert past.start_at + 60 * len(past.rates) == pytest.approx(prepared.load.start_at, abs=60)
    before = prepared.load.expected[:12].mean() / 5.0
    assert past.rates[-1] == pytest.approx(before, rel=0.1)


def test_nobody_is_told_of_a_slower_service():
    """In a variant the plant is another, while facts and targets stay."""
    slower = next(variant for variant in SENSITIVITY if variant.service_ratio < 1)
    assert slower.plant.service.requests_per_second == pytest.approx(17.0)
    assert FACTS.requests_per_second == AS_IS.plant.service.requests_per_second == 20.0
    assert prepare("llm-image", slower).table.replicas_for(np.array([300.0]), 0.005) > prepare(
        "llm-image"
    ).table.replicas_for(np.array([300.0]), 0.005)


def test_planners_size_for_the_service_they_were_told_of():
    """Static replicas are the same in every variant, though fewer days are scored."""
    planned = set()
    for variant, days in ((AS_IS, 7.0), *((variant, 1.0) for variant in SENSITIVITY)):
        prepared = prepare("mongo-01", variant, scored_days=days)
        made = autoscalers_of(prepared, [60.0])
        counts = []
        for name in (STATIC_PEAK, STATIC_PAST):
            made[name].start(1)
            counts.append(made[name].decide(None).tolist()[0])
        planned.add(tuple(counts))

    assert planned == {(39.0, 41.0)}


def test_every_trace_and_variant_is_a_part():
    """All shipped traces run in the world as it is and in every variant, the longest first."""
    parts = parts_of()
    assert len(parts) == len(TRACES) * (1 + len(SENSITIVITY))
    weights = [part.weight for part in parts]
    assert weights == sorted(weights, reverse=True)
    assert max(weights) == 7.0


def result(hours, late, *, policy="p", seed=0, trace="t", variant="", profile="fast"):
    """Return a result of equal days of 1000 requests."""
    days = tuple(Day(daily, 1000.0, paid) for daily, paid in zip(late, hours, strict=True))
    return Result(
        trace=trace,
        profile=profile,
        policy=policy,
        seed=seed,
        seconds=86_400.0 * len(days),
        requests=1000.0 * len(days),
        late=float(sum(late)),
        dropped=0.0,
        replica_hours=float(sum(hours)),
        changes=10.0,
        created=10.0,
        worst_ratio=0.1,
        days=days,
        variant=variant,
    )


def cell(hours, late):
    """Return a cell of equal days of 1000 requests."""
    runs = [result(hours, late), result(hours, late, policy="oracle")]
    return Cells(runs).of("fast", "t", "p")


CHEAP, DEAR = [100.0, 110.0, 105.0, 120.0], [120.0, 130.0, 126.0, 144.0]
GOOD, BAD = [1.0, 2.0, 1.0, 0.0], [21.0, 22.0, 25.0, 19.0]


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        (cell(CHEAP, GOOD), cell(DEAR, GOOD), Outcome.WIN),
        (cell(CHEAP, GOOD), cell(DEAR, BAD), Outcome.WIN),
        (cell(CHEAP, BAD), cell(DEAR, GOOD), Outcome.TRADE),
        (cell(DEAR, GOOD), cell(CHEAP, GOOD), Outcome.LOSS),
        (cell(CHEAP, BAD), cell(CHEAP, GOOD), Outcome.LOSS),
        (cell(CHEAP, GOOD), cell(CHEAP, GOOD), Outcome.TIE),
        (cell([100.5, 110.6, 105.6, 120.7], GOOD), cell(CHEAP, GOOD), Outcome.TIE),
        # Cheaper by far on one day, dearer on the others: days to come may be either.
        (cell([50.0, 115.0, 111.0, 125.0], GOOD), cell(CHEAP, GOOD), Outcome.TIE),
        (cell(CHEAP[:2], GOOD[:2]), cell(DEAR[:2], BAD[:2]), Outcome.SHORT),
    ],
)
def test_comparison_wants_most_days_to_agree(ours: Cell, theirs: Cell, outcome):
    """A win is better at something and worse at nothing, beyond margins and chance."""
    assert compare(ours, theirs) is outcome


def test_gate_compares_with_the_cheapest_that_keeps_the_budget():
    """At most 1.02 times its cost within the budget, or less late at no higher cost."""
    best = best_of([result([100.0], [4.0]), result([90.0], [9.0]), result([110.0], [0.0])])
    assert best.replica_hours == 100.0
    assert is_harmless(result([102.0], [5.0]), best)
    assert not is_harmless(result([103.0], [0.0]), best)
    assert not is_harmless(result([95.0], [6.0]), best)
    least = best_of([result([100.0], [40.0]), result([90.0], [90.0])])
    assert least.late == 40.0
    assert is_harmless(result([101.0], [40.0]), least)
    assert not is_harmless(result([99.0], [41.0]), least)


def test_rank_that_a_variant_turns_round_is_unstable():
    """The order of a and b turns in one variant; c stays the dearest and the latest."""
    paid = {
        "": {"oracle": 50.0, "a": 100.0, "b": 110.0, "c": 200.0},
        "lag": {"oracle": 50.0, "a": 112.0, "b": 100.0, "c": 200.0},
    }
    runs = [
        result([hours], [100.0 if policy == "c" else 1.0], policy=policy, variant=variant)
        for variant, costs in paid.items()
        for policy, hours in costs.items()
    ]
    turned = Turn(first="a", second="b", figure="cost", variants=("lag",))
    assert turns(Cells(runs), "fast") == [turned]


SMALL = ("llm-conversation",)


def test_benchmark_is_the_same_however_it_is_run(tmp_path):
    """One process or two give the same file, byte for byte; the page shows every autoscaler."""
    parts = parts_of(SMALL)
    for name, executor in (("one", Serial()), ("two", Processes(2))):
        folder = tmp_path / name
        folder.mkdir()
        write_results(Results(runs=tuple(run_parts(parts, executor))), folder / "results.json.gz")
        tuned = run_parts(tuned_parts(SMALL), executor, function=run_tuned)
        write_results(Results(runs=tuple(tuned)), folder / "tuned.json.gz")
        sets = run_parts(set_parts(SMALL), executor)
        write_results(Results(runs=tuple(sets)), folder / "sets.json.gz")
        write_worlds(run_worlds(executor, seeds=1), folder / "worlds.json")
        write_readme(read_findings(folder), folder)
    for name in (*FILES.values(), "README.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    page = (tmp_path / "one" / "README.md").read_text()
    for title in ("perfect foresight", "Knative KPA", "Crane EHPA", "**Flyball, defaults**"):
        assert title in page
    assert all(f"### {profile.name} start-up\n" in page for profile in PROFILES)


def test_cost_at_a_budget_is_read_off_the_frontier():
    """Half way between 1.2 at 2 % and 1.4 at 0 % lies 1 %; who cannot keep a budget has no cost."""
    names = ("hpa", "keda-rate", "flyball", "flyball-fast", "kpa")
    cells = Cells([result([100.0], [0.0], policy="oracle")])
    runs = [result([120.0], [20.0], policy=f"{name}@0.8") for name in names]
    runs += [result([140.0], [0.0], policy=f"{name}@0.7") for name in names]
    table = at_budgets(Results(runs=tuple(runs)), cells)
    assert table.rows[0] == ("fast", "1.0%", "1", *["1.30 (1)"] * 5)
    assert table.rows[1] == ("fast", "0.5%", "1", *["1.35 (1)"] * 5)
    # A straight line: the mean over budgets is the cost at the one in the middle, 0.55 %.
    assert table.rows[3] == ("fast", "0.1% to 1.0%", "1", *["1.34 (1)"] * 5)

    late = [*runs[:5], *runs[6:]]
    table = at_budgets(Results(runs=tuple(late)), cells)
    assert table.rows[0][2:4] == ("0", "nan (0)")


def test_dask_cluster_gives_identical_numbers():
    """All parts of a trace, in both tracks, on a cluster of two workers and in one process."""
    with local_cluster(2) as executor:
        for parts, function in (
            (parts_of(SMALL), run_part),
            (tuned_parts(SMALL), run_tuned),
            (set_parts(SMALL), run_part),
        ):
            there = list(run_parts(parts, executor, function=function))
            assert there == list(run_parts(parts, Serial(), function=function))


def test_seeds_have_their_own_arrivals_and_the_first_does_not_depend_on_the_others():
    """Counted arrivals and pasts differ, what is expected does not; seed 0 is the same alone."""
    prepared = prepare("elb", seeds=3, scored_days=0.05)
    counts = [prepared.load.counted, *prepared.further_counts]
    assert len({counted.tobytes() for counted in counts}) == 3
    assert len({past.rates.tobytes() for past in prepared.pasts}) == 3
    assert all(len(counted) == prepared.load.steps for counted in counts)

    alone = run_part(Part(trace="elb", seeds=1, scored_days=0.05))
    several = run_part(Part(trace="elb", seeds=3, scored_days=0.05))
    assert [run for run in several if run.seed == 0] == alone


def test_variants_are_compared_with_the_same_seed():
    """Another seed of the world as it is, dearer by half, is not in the comparison."""
    runs = [
        result([hours], [1.0], policy=policy, seed=seed, variant=variant)
        for variant, seed, factor in (("", 0, 1.0), ("", 1, 1.5), ("lag", 0, 1.0))
        for policy, hours in (("oracle", 50.0), ("a", 50.0 + 50.0 * factor))
    ]
    before, after = shifts(Cells(runs), "fast", "a")["lag"]
    assert before == after
    assert before.cost == pytest.approx(2.0)


def test_default_knob_of_the_tuned_track_is_the_default_track():
    """Aiming at 70 % (75 % for the preset), both tracks give the same runs."""
    part = Part(trace=SMALL[0], seeds=1)
    default = {
        (run.profile, run.policy): run for run in run_part(part) if run.variant == AS_IS.name
    }
    tuned = {(run.profile, run.policy): run for run in run_tuned(part)}
    for profile in PROFILES:
        for name in TUNED:
            knob = 0.75 if name == "flyball-fast" else 0.7
            swept = tuned[profile.name, f"{name}@{knob:g}"]
            assert replace(swept, policy=name) == default[profile.name, name]


def test_parts_hold_every_autoscaler_start_up_and_seed():
    """A part's runs are complete, late requests never exceed arrivals, and all pay for pods."""
    runs = run_part(Part(trace=SMALL[0]))
    cells = Cells(runs)

    assert len(runs) == len(cells.policies) * len(PROFILES) * 6
    for run in runs:
        assert 0 <= run.dropped <= run.late <= run.requests
        assert run.replica_hours >= run.seconds / 3600
        assert sum(day.late for day in run.days) == pytest.approx(run.late, abs=0.01)
    assert SERVICE.requests_per_second == 20.0


def test_committed_page_is_made_from_the_committed_results(tmp_path):
    """Nobody has touched the figures by hand, and the page's code has not moved on without it."""
    folder = Path(__file__).parents[2] / "docs/benchmark"
    write_readme(read_findings(folder), tmp_path)

    assert (tmp_path / "README.md").read_text() == (folder / "README.md").read_text()


def test_command_says_which_track_is_missing(tmp_path, monkeypatch, capsys):
    """A report needs both tracks; without one the command ends before anything is run."""
    monkeypatch.setattr("sys.argv", ["benchmark", "--output", str(tmp_path), "--track", "tuned"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "results.json.gz is not there" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_difference_of_one_figure_is_named():
    """The first run that differs is said with its figure; a missing run is a difference too."""
    kept = [result([100.0], [1.0], seed=seed) for seed in range(3)]
    changed = [*kept[:2], replace(kept[2], late=1.001)]

    assert first_difference(kept, list(kept)) == ""
    assert first_difference(changed, kept) == (
        "run 2, p, t, fast, seed 2: late is 1.001, the folder has 1.0"
    )
    assert first_difference(kept[:2], kept) == "2 runs, the folder has 3"
    assert first_difference(kept, kept[:2]) == "3 runs, the folder has 2"


def test_check_on_a_dask_cluster_finds_what_a_folder_has_otherwise(tmp_path, monkeypatch, capsys):
    """Equal runs pass and nothing is written; one figure changed by a thousandth fails."""
    file = tmp_path / FILES["sets"]
    runs = tuple(run_parts(set_parts(SMALL), Serial()))
    # Runs of traces that are not asked for are left alone.
    other = replace(runs[0], trace="other")
    write_results(Results(runs=(other, *runs)), file)
    options = ["--track", "sets", "--trace", SMALL[0], "--cluster", "2", "--check"]
    monkeypatch.setattr("sys.argv", ["benchmark", *options, "--output", str(tmp_path)])

    main()
    assert f"all {len(runs)} runs are equal" in capsys.readouterr().err

    write_results(Results(runs=(replace(runs[0], late=runs[0].late + 0.001), *runs[1:])), file)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "run 0, oracle, llm-conversation, slow" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]
