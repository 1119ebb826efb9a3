"""The Kustomize base on a control plane: applied, and its service account used from outside."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from autoscaler.kube.transport import KubeClient
from tests.deploy.kustomize import BASE, Document, render
from tests.deploy.rights import Right, lessened
from tests.e2e.controlplane import ControlPlane
from tests.e2e.objects import Objects, until

NAMESPACE = "flyball-system"
ACCOUNT = "flyball"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
COMPONENTS = BASE.parent / "components"
DOCUMENTS = render(BASE)
ROLE_KINDS = {"ClusterRole", "Role"}
BINDING_KINDS = {"ClusterRoleBinding", "RoleBinding"}
ROLES = [document for document in DOCUMENTS if document["kind"] in ROLE_KINDS]


async def apply_base(client: KubeClient) -> list[tuple[Document, dict[str, Any]]]:
    """Apply every object of the base, as kubectl would with ``--server-side``.

    Returns:
        Each document with the object that was stored.
    """
    objects = Objects(client)
    applied = [(document, await objects.apply(document)) for document in DOCUMENTS]
    known = partial(_has_rights, client, ROLES, USER, NAMESPACE)
    await until("the account has its rights", known)
    return applied


async def account_kubeconfig(plane: ControlPlane) -> Path:
    """Return the kubeconfig of the base's service account, with a token asked for just now."""
    return await asyncio.to_thread(plane.account_kubeconfig, NAMESPACE, ACCOUNT)


async def grant(
    objects: Objects, account: str, *components: str, without: Collection[Right] = ()
) -> None:
    """Give an account in the objects' namespace the rights that the base gives to its own.

    Asked again, it changes what was given before.

    Args:
        objects: With the rights to give some.
        account: Made if need be.
        components: Kustomize components whose rights come on top.
        without: Rights of these roles that are left out.
    """
    space = objects.namespace
    documents = list(DOCUMENTS)
    for component in components:
        documents += yaml.safe_load_all((COMPONENTS / component / "rights.yaml").read_text())
    await objects.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
    )
    given = [_as_given(one, account, space, without) for one in documents if _is_right(one)]
    for body in given:
        await objects.apply(body)
    user = f"system:serviceaccount:{space}:{account}"
    roles = [body for body in given if body["kind"] in ROLE_KINDS]
    known = partial(_has_rights, objects.client, roles, user, space)
    await until("the account has its rights", known)


def _is_right(document: Document) -> bool:
    return document["kind"] in ROLE_KINDS | BINDING_KINDS


def _as_given(
    document: Document, account: str, space: str, without: Collection[Right]
) -> dict[str, Any]:
    """Return a role or binding as an account gets it, beside those of other tests."""
    body = copy.deepcopy(document)
    metadata = body["metadata"]
    if "namespace" in metadata:
        metadata["namespace"] = space
    else:
        metadata["name"] += f"-{space}"
    if body["kind"] in ROLE_KINDS:
        return lessened(body, without) if without else body
    if body["roleRef"]["kind"] == "ClusterRole":
        body["roleRef"]["name"] += f"-{space}"
    body["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": space}]
    return body


async def _has_rights(client: KubeClient, roles: list[Document], user: str, space: str) -> bool:
    """Tell whether the API server knows of the bindings already; it learns of them by watching."""
    for role in roles:
        for rule in role["rules"]:
            within = space if role["kind"] == "Role" else ""
            if not await _may(client, user, rule, within):
                return False
    return True


async def _may(client: KubeClient, user: str, rule: dict[str, Any], within: str) -> bool:
    resource, _, subresource = rule["resources"][0].partition("/")
    attributes = {
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "verb": rule["verbs"][0],
        "namespace": within,
        "name": rule.get("resourceNames", [""])[0],
    }
    spec = {"user": user, "resourceAttributes": attributes}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": spec,
    }
    answer = await Objects(client).create(review)
    return bool(answer["status"]["allowed"])
