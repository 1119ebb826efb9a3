"""Whatever somebody writes, the answer is an object or a list of problems."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.api.parse import parse_object
from autoscaler.api.problems import InvalidObject
from autoscaler.api.validate import validate_documents
from tests.unit.api.objects import CPU, REDIS, authentication, scaled_job, scaled_object

FULL = [
    scaled_object(
        {
            "triggers": [
                {**REDIS, "name": "a", "smoothing": {"type": "ewma", "halfLifeSeconds": 3}},
                {**CPU, "authenticationRef": {"name": "x"}, "freshness": "9s"},
            ],
            "minReplicaCount": 1,
            "maxReplicaCount": 5,
            "fallback": {"failureThreshold": 1, "replicas": 2},
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleUp": {
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}],
                            "tolerance": "0.1",
                        }
                    }
                },
                "scalingModifiers": {"formula": "a * 2", "target": "3"},
            },
        },
        annotations={"autoscaling.keda.sh/paused-replicas": "3"},
        creationTimestamp="2026-01-31T12:00:00Z",
    ),
    scaled_job({"scalingStrategy": {"strategy": "custom", "pendingPodConditions": ["Ready"]}}),
    authentication(
        {
            "podIdentity": {"provider": "aws", "roleArn": "r"},
            "secretTargetRef": [{"parameter": "p", "name": "n", "key": "k"}],
            "oauth2": {"type": "clientCredentials", "clientId": "c", "tokenUrl": "https://x"},
        }
    ),
]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(["Pods", "median", "Value", "a", "-1", "9" * 40, "2026-01-31"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = list(value.items()) if isinstance(value, dict) else []
    items += list(enumerate(value)) if isinstance(value, list) else []
    below = [place for key, child in items for place in _places(child, (*path, key))]
    return [path, *below] if path else below


PLACES = [(index, place) for index, raw in enumerate(FULL) for place in _places(raw)]


@st.composite
def bent_objects(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid object with up to three fields replaced by anything, or removed."""
    index, place = draw(st.sampled_from(PLACES))
    raw = copy.deepcopy(FULL[index])
    more = draw(st.lists(st.sampled_from([p for i, p in PLACES if i == index]), max_size=2))
    for *parents, last in (place, *more):
        holder: Any = raw
        try:
            for step in parents:
                holder = holder[step]
            holder[last] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue
    return raw


@settings(max_examples=400, deadline=None)
@given(bent_objects())
def test_bent_objects_are_read_or_refused(raw: dict[str, Any]) -> None:
    """A bent object is parsed or refused with problems that name fields, and is not changed."""
    before = json.dumps(raw)
    problems = []
    try:
        parse_object(raw)
    except InvalidObject as error:
        problems = list(error.problems)
    assert all(problem.field and problem.message for problem in problems)
    assert json.dumps(raw) == before


@settings(max_examples=200, deadline=None)
@given(bent_objects())
def test_bent_manifests_are_reported(raw: dict[str, Any]) -> None:
    """The same objects as text give one report with a line for each finding."""
    (report,) = validate_documents(json.dumps(raw, indent=1))
    assert all(finding.line >= 1 for finding in report.findings)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-{}[]&*!|>\"'#%,?\n\t 0.~<", max_size=60))
def test_any_text_is_reported(text: str) -> None:
    """Text that is no YAML, or odd YAML, never raises."""
    validate_documents(text)
