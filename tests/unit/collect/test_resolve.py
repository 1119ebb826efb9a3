"""Resolving: parameters from Secrets, ConfigMaps and the target's environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from autoscaler.collect.resolve import (
    CLUSTER_KIND,
    NOT_SUPPORTED_YET,
    ResolvedTrigger,
    Resolver,
    TargetEnvironment,
    TriggerReferences,
)
from autoscaler.errors import Forbidden, Unreachable
from autoscaler.kube.codec import (
    EnvFrom,
    EnvFromRef,
    EnvSource,
    EnvVar,
    KeyRef,
    TemplateContainer,
    TemplateSpec,
)


class Objects:
    """A cluster's references as plain dictionaries, by ``namespace/name``."""

    def __init__(self) -> None:
        self.secrets: dict[str, Mapping[str, str]] = {}
        self.config_maps: dict[str, Mapping[str, str]] = {}
        self.authentications: dict[str, Mapping[str, Any]] = {}
        self.failure: Exception | None = None

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        if self.failure:
            raise self.failure
        return self.secrets.get(f"{namespace}/{name}")

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.config_maps.get(f"{namespace}/{name}")

    async def authentication(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None:
        return self.authentications.get(name if kind == CLUSTER_KIND else f"{namespace}/{name}")


def template(*containers: TemplateContainer, init: TemplateContainer | None = None) -> TemplateSpec:
    """Return a pod template."""
    return TemplateSpec(containers=list(containers), init_containers=[init] if init else [])


def variable(name: str, value: str = "", **source: KeyRef) -> EnvVar:
    """Return an environment variable: literal, or from a key."""
    return EnvVar(name=name, value=value, value_from=EnvSource(**source) if source else None)


async def resolve(
    objects: Objects,
    *,
    metadata: Mapping[str, str] | None = None,
    auth: str = "",
    kind: str = "TriggerAuthentication",
    target: TargetEnvironment | None = None,
) -> tuple[ResolvedTrigger, list[str]]:
    """Resolve trigger 2 of an object in namespace ``shop``."""
    trigger = TriggerReferences(
        index=2, metadata=metadata or {}, authentication_kind=kind, authentication_name=auth
    )
    resolver = Resolver(objects, cluster_namespace="system")
    found, problems = await resolver.resolve(trigger, "shop", target or TargetEnvironment())
    return found, [str(problem) for problem in problems]


class Template:
    """A pod template somewhere else."""

    def __init__(self, found: TemplateSpec | Forbidden) -> None:
        self.found = found
        self.reads = 0

    async def read(self) -> TemplateSpec:
        self.reads += 1
        if isinstance(self.found, Forbidden):
            raise self.found
        return self.found


async def test_pod_template_is_read_once_and_only_for_variables() -> None:
    """A Secret needs none; two variables of a trigger need one read."""
    objects = Objects()
    objects.secrets["shop/s"] = {"pw": "secret"}
    objects.authentications["shop/a"] = {
        "secretTargetRef": [{"parameter": "password", "name": "s", "key": "pw"}]
    }
    main = TemplateContainer(name="main", env=[variable("HOST", "db"), variable("PORT", "1")])
    there = Template(template(main))
    target = TargetEnvironment(read=there.read)
    found, problems = await resolve(objects, auth="a", target=target)
    assert (found.auth, problems, there.reads) == ({"password": "secret"}, [], 0)
    names = {"hostFromEnv": "HOST", "portFromEnv": "PORT"}
    found, problems = await resolve(objects, metadata=names, auth="a", target=target)
    assert (found.env, problems, there.reads) == ({"HOST": "db", "PORT": "1"}, [], 1)


async def test_denied_pod_template_is_the_problem_of_each_variable() -> None:
    """Whatever needs no variable is looked up all the same."""
    objects = Objects()
    objects.secrets["shop/s"] = {"pw": "secret"}
    objects.authentications["shop/a"] = {
        "secretTargetRef": [{"parameter": "password", "name": "s", "key": "pw"}],
        "env": [{"parameter": "host", "name": "HOST"}],
    }
    target = TargetEnvironment(read=Template(Forbidden("no right", status=403)).read)
    names = {"portFromEnv": "PORT"}
    found, problems = await resolve(objects, metadata=names, auth="a", target=target)
    assert found.auth == {"password": "secret"}
    subject = 'TriggerAuthentication "shop/a": spec.env, parameter host'
    assert problems == [
        "spec.triggers[2].metadata.portFromEnv: no right",
        f"spec.triggers[2].authenticationRef: {subject}: no right",
    ]


async def test_all_supported_sources_become_parameters() -> None:
    """Secret, ConfigMap and environment entries are merged; the Secret wins."""
    objects = Objects()
    objects.secrets["shop/s"] = {"pw": "from-secret"}
    objects.config_maps["shop/c"] = {"user": "from-map", "pw": "from-map"}
    objects.authentications["shop/a"] = {
        "secretTargetRef": [{"parameter": "password", "name": "s", "key": "pw"}],
        "configMapTargetRef": [
            {"parameter": "username", "name": "c", "key": "user"},
            {"parameter": "password", "name": "c", "key": "pw"},
        ],
        "env": [
            {"parameter": "host", "name": "HOST"},
            {"parameter": "port", "name": "PORT", "containerName": "side"},
        ],
        "podIdentity": {"provider": "none"},
    }
    main = TemplateContainer(name="main", env=[variable("HOST", "db")])
    side = TemplateContainer(name="side", env=[variable("PORT", "5432")])
    found, problems = await resolve(
        objects, auth="a", target=TargetEnvironment(template=template(main, side))
    )
    assert problems == []
    assert found.auth == {
        "host": "db",
        "port": "5432",
        "username": "from-map",
        "password": "from-secret",
    }


async def test_values_are_not_in_the_text_form() -> None:
    """Printing resolved parameters shows names only."""
    shown = repr(ResolvedTrigger(auth={"password": "hunter2"}, env={"TOKEN": "hunter3"}))
    assert "hunter" not in shown
    assert "password" in shown


async def test_cluster_authentication_reads_the_cluster_namespace() -> None:
    """A ClusterTriggerAuthentication's Secrets live in one namespace, whatever the object's is."""
    objects = Objects()
    objects.secrets["system/s"] = {"pw": "x"}
    objects.authentications["a"] = {
        "secretTargetRef": [{"parameter": "password", "name": "s", "key": "pw"}]
    }
    found, problems = await resolve(objects, auth="a", kind=CLUSTER_KIND)
    assert (found.auth, problems) == ({"password": "x"}, [])


@pytest.mark.parametrize("field", NOT_SUPPORTED_YET)
async def test_unsupported_source_is_named(field: str) -> None:
    """A source that is not there yet is a clear error, not an empty parameter."""
    objects = Objects()
    given: Any = {"provider": "aws"} if field == "podIdentity" else {"x": 1}
    objects.authentications["shop/a"] = {field: given}
    _, problems = await resolve(objects, auth="a")
    assert problems == [
        (
            "spec.triggers[2].authenticationRef: "
            f'TriggerAuthentication "shop/a": spec.{field} is not supported yet; '
            "use secretTargetRef, configMapTargetRef, env"
        )
    ]


async def test_everything_missing_is_reported_at_once() -> None:
    """Each missing reference is its own problem, with object, parameter, Secret and key."""
    objects = Objects()
    objects.secrets["shop/s"] = {"other": "x"}
    objects.authentications["shop/a"] = {
        "secretTargetRef": [
            {"parameter": "password", "name": "s", "key": "pw"},
            {"parameter": "token", "name": "gone", "key": "t"},
        ],
        "configMapTargetRef": [{"parameter": "user", "name": "c", "key": "u"}],
    }
    _, problems = await resolve(objects, metadata={"hostFromEnv": "HOST"}, auth="a")
    text = "\n".join(problems)
    assert len(problems) == 4
    assert 'spec.triggers[2].metadata.hostFromEnv: environment variable "HOST"' in text
    assert 'spec.secretTargetRef, parameter password: Secret "shop/s" has no key "pw"' in text
    assert 'spec.secretTargetRef, parameter token: Secret "shop/gone" does not exist' in text
    assert 'spec.configMapTargetRef, parameter user: ConfigMap "shop/c" does not exist' in text


async def test_missing_authentication_is_a_problem() -> None:
    """A dangling authenticationRef is named."""
    _, problems = await resolve(Objects(), auth="a")
    assert problems == [
        'spec.triggers[2].authenticationRef: TriggerAuthentication "shop/a" does not exist'
    ]


async def test_unreadable_secret_is_a_problem_but_silence_is_not() -> None:
    """No right to read is the user's to fix; an API server that does not answer says nothing."""
    objects = Objects()
    objects.authentications["shop/a"] = {
        "secretTargetRef": [{"parameter": "password", "name": "s", "key": "pw"}]
    }
    objects.failure = Forbidden("secrets is forbidden", status=403)
    _, problems = await resolve(objects, auth="a")
    assert "secrets is forbidden" in problems[0]
    objects.failure = Unreachable("no answer")
    with pytest.raises(Unreachable):
        await resolve(objects, auth="a")


async def env(objects: Objects, container: TemplateContainer, name: str) -> tuple[str | None, str]:
    """Return a variable's value and what is wrong with it."""
    target = TargetEnvironment(template=template(container))
    found, problems = await resolve(objects, metadata={"xFromEnv": name}, target=target)
    return found.env.get(name), "; ".join(problems)


async def test_environment_follows_the_kubelet() -> None:
    """Literals, expansion, references, prefixes, precedence and optional references."""
    objects = Objects()
    objects.secrets["shop/s"] = {"k": "secret", "FROM": "whole"}
    objects.config_maps["shop/c"] = {"k": "map", "FROM": "map-whole", "HOST": "hidden"}
    container = TemplateContainer(
        name="main",
        env_from=[
            EnvFrom(config_map_ref=EnvFromRef(name="c")),
            EnvFrom(prefix="P_", secret_ref=EnvFromRef(name="s")),
            EnvFrom(secret_ref=EnvFromRef(name="gone", optional=True)),
        ],
        env=[
            variable("HOST", "db"),
            variable("URL", "tcp://$(HOST):$(PORT)/$$(HOST)/$(LATER)/$(FROM)"),
            variable("LATER", "x"),
            variable("SECRET", secret_key_ref=KeyRef(name="s", key="k")),
            variable("MAP", config_map_key_ref=KeyRef(name="c", key="k")),
            variable("MAYBE", secret_key_ref=KeyRef(name="s", key="none", optional=True)),
            variable("TWICE", "first"),
            variable("TWICE", "second"),
        ],
    )
    expected = {
        "HOST": "db",
        "URL": "tcp://db:$(PORT)/$(HOST)/$(LATER)/map-whole",
        "SECRET": "secret",
        "MAP": "map",
        "MAYBE": None,
        "FROM": "map-whole",
        "P_FROM": "whole",
        "TWICE": "second",
    }
    for name, value in expected.items():
        assert await env(objects, container, name) == (value, ""), name


async def test_environment_problems_name_the_place() -> None:
    """A variable that cannot be had says why."""
    objects = Objects()
    objects.secrets["shop/s"] = {}
    container = TemplateContainer(
        name="main",
        env=[
            variable("KEY", secret_key_ref=KeyRef(name="s", key="k")),
            EnvVar(name="FIELD", value_from=EnvSource()),
        ],
        env_from=[EnvFrom(config_map_ref=EnvFromRef(name="gone"))],
    )
    where = "spec.triggers[2].metadata.xFromEnv: "
    for name, part in {
        "KEY": 'environment variable "KEY": Secret "shop/s" has no key "k"',
        "FIELD": "comes from a field of the running pod",
        "NONE": 'envFrom of container "main": ConfigMap "shop/gone" does not exist',
    }.items():
        _, problem = await env(objects, container, name)
        assert problem.startswith(where)
        assert part in problem


async def test_container_is_chosen_by_name() -> None:
    """EnvSourceContainerName may be any container of the pod, init containers included."""
    main = TemplateContainer(name="main", env=[variable("A", "1")])
    init = TemplateContainer(name="setup", env=[variable("A", "2")])
    pod = template(main, init=init)
    for name, value in {"": "1", "main": "1", "setup": "2"}.items():
        target = TargetEnvironment(template=pod, container=name)
        found, _ = await resolve(Objects(), metadata={"xFromEnv": "A"}, target=target)
        assert found.env == {"A": value}
    target = TargetEnvironment(template=pod, container="other")
    _, problems = await resolve(Objects(), metadata={"xFromEnv": "A"}, target=target)
    assert problems == [
        (
            "spec.triggers[2].metadata.xFromEnv: the pod template has no container "
            '"other" (containers: main, setup)'
        )
    ]
