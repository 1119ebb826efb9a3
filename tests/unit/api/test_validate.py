"""Manifests checked before they reach a cluster."""

from __future__ import annotations

import textwrap

import pytest

from autoscaler.api.manifest import DOCUMENTS_MAX, MANIFEST_BYTES_MAX, VALUES_MAX, read_documents
from autoscaler.api.problems import Path, Problem, invalid
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.validate import DocumentReport, validate_documents

GOOD = """\
apiVersion: flyball.dev/v1alpha1
kind: ScaledObject
metadata:
  name: worker
spec:
  scaleTargetRef:
    name: worker
  triggers:
    - type: redis
      metadata:
        listName: jobs
"""


def _only(text: str) -> DocumentReport:
    (report,) = validate_documents(textwrap.dedent(text))
    return report


def _found(report: DocumentReport) -> list[tuple[int, str]]:
    return [(finding.line, finding.problem.field) for finding in report.findings]


def test_a_good_manifest_has_nothing_to_report() -> None:
    """The report names the object and is valid."""
    report = _only(GOOD)
    assert report == DocumentReport(
        index=1, line=1, api_version="flyball.dev/v1alpha1", kind="ScaledObject", name="worker"
    )
    assert report.is_valid


def test_problems_come_with_line_and_field() -> None:
    """Each problem is found where it is written, or where it should have been."""
    report = _only("""\
        # a comment first
        ---
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata:
          name: Worker
          anotations: {}
        spec:
          scaleTargetRef: {}
          minReplicaCount: 5
          maxReplicaCount: 3
          triggers:
            - type: redis
              metadata:
                listLength: 5
              time: 1
        """)
    assert (report.index, report.line) == (1, 3)
    assert _found(report) == [
        (6, "metadata.name"),
        (7, "metadata.anotations"),
        (9, "spec.scaleTargetRef.name"),
        (10, "spec.minReplicaCount"),
        (15, "spec.triggers[0].metadata.listLength"),
        (16, "spec.triggers[0].time"),
    ]
    assert not report.is_valid
    assert 'did you mean "annotations"?' in report.problems[1].message


def test_documents_are_independent() -> None:
    """A broken document does not hide the ones around it; empty ones do not count."""
    text = f"---\n# nothing\n---\n{GOOD}---\nkind: [\n---\n\n--- # end\n{GOOD}"
    reports = validate_documents(text)
    assert [(r.index, r.line, r.is_valid) for r in reports] == [
        (1, 4, True),
        (2, 16, False),
        (3, 20, True),
    ]
    assert "cannot be read as YAML" in reports[1].problems[0].message


def test_objects_of_others_are_skipped() -> None:
    """A Deployment beside the ScaledObject is none of our business, and no failure."""
    report = _only("apiVersion: apps/v1\nkind: Deployment\nspec: 5\n")
    assert report.note == "apps/v1 Deployment is not Flyball's"
    assert report.is_valid


@pytest.mark.parametrize(
    ("head", "field"),
    [
        ("apiVersion: flyball.dev/v1alpha1\nkind: ScaledObjct", "kind"),
        ("apiVersion: keda.sh/v1\nkind: ScaledObject", "apiVersion"),
        ("apiVersion: flybal.dev/v1alpha1\nkind: ScaledJob", "apiVersion"),
        ("kind: ScaledObject", "apiVersion"),
        ("apiVersion: flyball.dev/v1alpha1", "kind"),
        ("- 1", ""),
        ("just text", ""),
    ],
)
def test_near_misses_are_not_skipped(head: str, field: str) -> None:
    """What is meant to be ours but is not is a problem."""
    assert [problem.field for problem in _only(head).problems] == [field]


def test_a_name_is_needed() -> None:
    """An object needs a name, or a prefix to generate one from."""
    unnamed = GOOD.replace("name: worker", "labels: {}", 1)
    assert [problem.field for problem in _only(unnamed).problems] == ["metadata.name"]
    assert _only(GOOD.replace("name: worker", "generateName: worker-", 1)).is_valid


def test_duplicate_keys_are_reported() -> None:
    """A key given twice is reported at its second place."""
    report = _only(GOOD + "  pollingInterval: 5\n  pollingInterval: 6\n")
    assert _found(report) == [(13, "spec.pollingInterval")]
    assert "first on line 12" in report.problems[0].message


def test_lists_are_looked_into() -> None:
    """The items of a List are reported one by one, with their own lines."""
    item = textwrap.indent(GOOD, "    ").replace("    api", "  - api", 1)
    broken = item.replace("redis", "''").replace("name: worker", "name: other", 1)
    reports = validate_documents(f"apiVersion: v1\nkind: List\nitems:\n{item}{broken}")
    assert [(r.index, r.line, r.name) for r in reports] == [(1, 4, "worker"), (1, 15, "other")]
    assert _found(reports[1]) == [(23, "spec.triggers[0].type")]


def test_unknown_fields_are_found_at_any_depth() -> None:
    """A misspelt field is reported wherever it is; parameters of a trigger are free."""
    report = _only("""\
        apiVersion: flyball.dev/v1alpha1
        kind: ScaledObject
        metadata: {name: worker, managedFields: [], ownerReferences: []}
        spec:
          scaleTargetRef: {name: worker, container: main}
          triggers:
            - type: redis
              metadata: {anything: goes}
              authenticationRef: {name: a, namespace: b}
          advanced:
            horizontalPodAutoscalerConfig:
              behavior: {scaleup: {}}
        status: {whatever: 1}
        """)
    assert _found(report) == [
        (5, "spec.scaleTargetRef.container"),
        (9, "spec.triggers[0].authenticationRef.namespace"),
        (12, "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleup"),
    ]


def test_triggers_can_be_checked_by_somebody_who_knows_them() -> None:
    """The hook also sees the readable part of a wrong object; its problems are placed like others."""
    seen: list[str] = []

    def check(obj: ScaledObject | ScaledJob) -> list[Problem]:
        seen.append(obj.metadata.name)
        path = Path(("spec", "triggers", 0, "metadata", "listName"))
        return [invalid(path, "must be a known list", "jobs")]

    wrong = GOOD.replace("redis", "[]").replace("worker", "wrong")
    reports = validate_documents(
        f"{GOOD}---\n{wrong}---\napiVersion: v1\nkind: Pod\n", trigger_check=check
    )
    assert seen == ["worker", "wrong"]
    assert _found(reports[0]) == [(11, "spec.triggers[0].metadata.listName")]
    fields = [field for _, field in _found(reports[1])]
    assert fields == ["spec.triggers[0].type", "spec.triggers[0].metadata.listName"]


def test_yaml_is_read_as_kubernetes_reads_it() -> None:
    """Dates and clock times stay text, merge keys work, JSON is YAML."""
    (document,) = read_documents(
        """\
        base: &base {a: 1, b: 2}
        merged: {<<: *base, b: 3}
        more: {<<: [{a: 5}, *base]}
        date: 2026-01-31
        clock: 12:30
        yes: no
        1: {"json": [1.5, null, "x"]}
        """
    )
    assert document.value == {
        "base": {"a": 1, "b": 2},
        "merged": {"a": 1, "b": 3},
        "more": {"a": 5, "b": 2},
        "date": "2026-01-31",
        "clock": "12:30",
        "yes": False,
        "1": {"json": [1.5, None, "x"]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper"),
        ("a: &x [*x]", "once aliases are followed"),
        ("? [a]\n: b", "keys must be plain text"),
        ("<<: 5", "takes a mapping"),
        ("a: *missing", "undefined alias"),
        ("a: {", "did not find expected"),
        ("a: \x00", "cannot be read"),
        ("a: 1\n...\nb: 2", "did not find expected"),
    ],
)
def test_broken_documents_are_refused(text: str, message: str) -> None:
    """What cannot be read is one problem that says why."""
    (problem,) = _only(text).problems
    assert message in problem.message


def test_alias_bombs_are_refused() -> None:
    """A few lines of aliases that stand for billions of values are not followed."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = _only("\n".join(rows)).problems
    assert f"more than {VALUES_MAX} values" in problem.message


def test_objects_of_the_language_are_refused() -> None:
    """A tag that would build something else than plain values is a problem."""
    fields = [problem.field for problem in _only(GOOD + "  x: !!python/name:a b\n").problems]
    assert "spec.x" in fields


def test_oversized_manifests_are_refused() -> None:
    """Size and number of documents are bounded."""
    (problem,) = _only("#" * (MANIFEST_BYTES_MAX + 1)).problems
    assert "4 MiB" in problem.message
    reports = validate_documents("---\nkind: x\n" * (DOCUMENTS_MAX + 5))
    assert len(reports) == DOCUMENTS_MAX + 1
    assert "the rest is not looked at" in reports[-1].problems[0].message


@pytest.mark.parametrize("text", ["", "\n\n", "# only words\n", "---\n---\n", "%YAML 1.1\n"])
def test_nothing_is_nothing(text: str) -> None:
    """A manifest without content has no objects."""
    assert validate_documents(text) == []
