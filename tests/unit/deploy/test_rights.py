"""Rules against requests: what a rule covers, and what stays unused or is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.rights import Right, granted, lessened, refused, unused
from tests.e2e.controlplane.audit import AuditEvent, ObjectRef


def asked(group: str, resource: str, verb: str, **more: Any) -> AuditEvent:
    """Return the audit event of a request."""
    plural, _, subresource = resource.partition("/")
    reference = ObjectRef(resource=plural, subresource=subresource, api_group=group)
    return AuditEvent(stage="ResponseComplete", verb=verb, object_ref=reference, **more)


@pytest.mark.parametrize(
    ("right", "needed", "covers"),
    [
        (("apps", "deployments", "get"), ("apps", "deployments", "get"), True),
        (("apps", "deployments", "get"), ("apps", "deployments", "list"), False),
        (("apps", "deployments", "get"), ("", "deployments", "get"), False),
        (("apps", "deployments", "get"), ("apps", "deployments/scale", "get"), False),
        (("*", "*/scale", "patch"), ("contract.flyball.dev", "pumps/scale", "patch"), True),
        (("*", "*/scale", "patch"), ("apps", "deployments/status", "patch"), False),
        (("*", "*", "*"), ("", "secrets", "delete"), True),
    ],
)
def test_right_covers_what_rbac_would_allow(
    right: tuple[str, str, str], needed: tuple[str, str, str], covers: bool
) -> None:
    """Group, resource with subresource and verb all have to fit; stars as in RBAC."""
    assert Right(*right).covers(Right(*needed)) is covers


def test_rule_stands_for_every_combination() -> None:
    """One rule of two resources and two verbs is four rights, each to be used."""
    rule = {"apiGroups": ["apps"], "resources": ["a", "b"], "verbs": ["get", "list"]}
    rights = granted([{"rules": [rule]}])
    assert len(rights) == 4
    left = unused(rights, [asked("apps", "a", "get"), asked("apps", "b", "list")])
    assert left == [Right("apps", "a", "list"), Right("apps", "b", "get")]


def test_role_can_lack_single_rights() -> None:
    """Of a rule everything else stays, with its names; a resource without verbs is gone."""
    names = {"resourceNames": ["one"]}
    rules = [
        {"apiGroups": [""], "resources": ["a", "b"], "verbs": ["get", "list"], **names},
        {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["get", "patch"]},
    ]
    role = {"kind": "ClusterRole", "rules": rules}
    left_out = {Right("", "a", "get"), Right("", "a", "list"), Right("*", "*/scale", "patch")}
    lesser = lessened(role, left_out)
    assert set(granted([role])) - set(granted([lesser])) == left_out
    assert set(granted([lesser])) < set(granted([role]))
    assert lesser["rules"][0] == {
        "apiGroups": [""],
        "resources": ["b"],
        "verbs": ["get", "list"],
        **names,
    }
    assert lessened(role, ())["kind"] == "ClusterRole"
    assert granted([lessened(role, ())]) == granted([role])


def test_refused_request_is_named() -> None:
    """What the authorizer forbade is shown with its path, what it allowed is not."""
    forbidden = {"authorization.k8s.io/decision": "forbid"}
    events = [
        asked("", "pods", "list", request_uri="/api/v1/pods", annotations=forbidden),
        asked("", "events", "create", request_uri="/api/v1/namespaces/a/events"),
    ]
    assert refused(events) == ["list /api/v1/pods"]
