"""Settings of the process, from flags, environment variables and a file, in this order of weight.

Every setting belongs to a group, so its variable is ``FLYBALL_<GROUP>__<NAME>``, for example
``FLYBALL_POLLING__DEADLINE_SECONDS``; in the file (YAML) it is ``polling: {deadline_seconds: …}``.
Read once by the command line and passed down as the smallest group needed; never global.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from autoscaler.errors import ConfigError, shorten

PREFIX: Final = "FLYBALL_"
FILE_VARIABLE: Final = "FLYBALL_CONFIG"
"""Path of the settings file, unless a flag names one."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class KubernetesSettings(_Group):
    """How to reach the API server and what to look at there."""

    kubeconfig: str | None = None
    """Path of a kubeconfig; unset = $KUBECONFIG, then the pod's service account, then
    ~/.kube/config."""
    context: str | None = None
    """Context inside the kubeconfig; unset = its current one."""
    in_cluster: bool | None = None
    """True = only the pod's service account, False = never it."""
    server: str | None = None
    """URL of an API server that wants no credentials (the embedded one, ``kubectl proxy``);
    overrides the three above."""
    namespace: str | None = None
    """Namespace to watch; unset = all, which needs a ClusterRole."""
    cluster_object_namespace: str = "flyball-system"
    """Where the Secrets of a ClusterTriggerAuthentication are."""
    watch_keda: Literal["off", "annotated", "all"] = "off"
    """Act on ``keda.sh`` objects, too: ``annotated`` on those with the annotation
    ``flyball.dev/adopt: "true"``, ``all`` on every one but those with ``"false"``. Only for objects
    that no running KEDA acts on."""
    queries_per_second: float = Field(default=50.0, gt=0)
    """Requests per second to the API server in the long run. Too low delays scaling when many
    objects change at once, too high burdens the API server."""
    burst: int = Field(default=100, ge=1)
    """Requests at once before the rate applies."""
    timeout_seconds: float = Field(default=15.0, gt=0)
    """Longest time one request may take."""

    @field_validator("watch_keda", mode="before")
    @classmethod
    def _off_as_yaml_reads_it(cls, value: object) -> object:
        """Take the word ``off``, which without quotes is a boolean in YAML 1.1."""
        return "off" if value is False else value


class PollingSettings(_Group):
    """How metric sources are read."""

    deadline_seconds: float = Field(default=10.0, gt=0)
    """Longest time one read of a source may take; longer ones are errors."""
    concurrent_sources: int = Field(default=64, ge=1)
    """Sources read at the same time."""
    coalesce_seconds: float = Field(default=0.02, ge=0)
    """Reads due within this time of each other share one round trip. 0 shares only exact
    coincidences."""


class ScalingSettings(_Group):
    """How objects are reconciled, and the controller-wide part of the HPA algorithm."""

    workers: int = Field(default=16, ge=1)
    """Objects reconciled at the same time."""
    reconcile_seconds: float = Field(default=30.0, gt=0)
    """Longest time one reconcile may take."""
    grace_seconds: float = Field(default=10.0, ge=0)
    """How long running reconciles may take after SIGTERM; keep it below the pod's
    terminationGracePeriodSeconds."""
    tolerance: float = Field(default=0.1, ge=0)
    """Ratio to the target within which nothing is scaled, unless ``behavior`` says otherwise."""
    downscale_stabilization_seconds: float = Field(default=300.0, ge=0)
    """How long the highest recommendation holds before scaling down, unless ``behavior`` says
    otherwise."""
    cpu_initialization_period_seconds: float = Field(default=300.0, ge=0)
    """After its start a pod's CPU usage counts only when it was ready all the time."""
    initial_readiness_delay_seconds: float = Field(default=30.0, ge=0)
    """A pod unready this soon after its start has not been ready yet."""


class MemorySettings(_Group):
    """Where the histories behind decisions are kept, so that a restart loses none."""

    is_enabled: bool = True
    """Whether to keep them; without, a restart knows only what statuses say."""
    namespace: str | None = None
    """Namespace of the ConfigMaps; unset = the pod's, or that of the kubeconfig's context."""
    name: str = Field(default="flyball-memory", pattern=r"^[a-z0-9]([-a-z0-9]{0,200}[a-z0-9])?$")
    """The ConfigMaps are called ``<name>-0`` to ``<name>-7``. Two services in one namespace need
    different names."""
    write_seconds: float = Field(default=5.0, gt=0)
    """Changes are written at most this often (after a rescale at once). Higher saves writes, and a
    crash loses more."""
    refresh_seconds: float = Field(default=30.0, gt=0)
    """What merely goes on is written at most this often. After a crash, windows and cooldowns may
    last this much longer."""


class ServerSettings(_Group):
    """The service's own HTTP endpoints: probes, metrics, explanations."""

    host: str = "0.0.0.0"  # noqa: S104 -- probes and scrapes come from outside the pod
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 = any free one."""
    is_enabled: bool = True
    """Whether to listen at all."""


class WebhookSettings(_Group):
    """The validating admission webhook, which refuses objects that cannot work."""

    is_enabled: bool = False
    """Whether to serve it; ``--webhook-listen`` does, too."""
    host: str = "0.0.0.0"  # noqa: S104 -- the API server calls from outside the pod
    """Address to listen on."""
    port: int = Field(default=9443, ge=0, le=65535)
    """Port to listen on; 0 = any free one."""
    certificate_folder: str | None = None
    """Folder with ``tls.crt`` and ``tls.key``, as cert-manager fills one; unset = the service makes
    its own certificate, renews it and tells the API server to trust it."""
    secret: str = "flyball-webhook-certificate"  # noqa: S105 -- its name
    """Secret that keeps the self-managed certificate, in the service's own namespace."""
    configuration: str = "flyball"
    """ValidatingWebhookConfiguration whose ``caBundle`` the service keeps current."""
    service: str = "flyball-webhook"
    """Service the API server calls; the self-managed certificate is for its name."""
    names: tuple[str, ...] = ()
    """More DNS names and IP addresses the self-managed certificate is for, where the API server
    calls a URL."""
    concurrent_reviews: int = Field(default=16, ge=1)
    """Objects reviewed at the same time; four times as many wait, more are sent away."""
    timeout_seconds: float = Field(default=4.0, gt=0)
    """Longest time one review may take; keep it below ``timeoutSeconds`` of the configuration."""


class ExternalSettings(_Group):
    """The gRPC external scaler, which gives KEDA our decisions."""

    is_enabled: bool = False
    """Whether ``flyball run`` serves it; ``--external-listen`` does, too."""
    host: str = "0.0.0.0"  # noqa: S104 -- KEDA calls from outside the pod
    """Address to listen on."""
    port: int = Field(default=6000, ge=0, le=65535)
    """Port to listen on; 0 = any free one."""
    certificate_folder: str | None = None
    """Folder with ``tls.crt`` and ``tls.key``, read again when they change; with ``ca.crt`` only
    clients with a certificate signed by it are served. Unset = no TLS."""
    allowed_hosts: tuple[str, ...] = ()
    """Where triggers of policies in KEDA's metadata may connect to: names, ``*.suffix``, addresses
    and networks (``10.0.0.0/8``). Empty = anywhere."""
    objects: int = Field(default=10_000, ge=1)
    """Policies served at the same time; more are refused."""
    concurrent_calls: int = Field(default=1_000, ge=1)
    """Calls answered at the same time; more are refused."""
    streams: int = Field(default=4_000, ge=1)
    """Open streams (two per ``external-push`` trigger); more are refused."""
    metadata_bytes: int = Field(default=65_536, ge=1_024)
    """Longest trigger metadata, names and values together."""
    wait_seconds: float = Field(default=2.5, gt=0)
    """How long a call waits for the first reading of a new policy. KEDA's adapter gives up after
    3 s."""
    forget_seconds: float = Field(default=900.0, gt=0)
    """A policy nobody asked for in this time is forgotten."""
    drain_seconds: float = Field(default=3.0, ge=0)
    """How long calls under way may take after SIGTERM."""


class TelemetrySettings(_Group):
    """What the service says about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """``auto`` is ``console`` on a terminal and ``json`` elsewhere."""
    keda_metric_names: bool = True
    """Also expose the ``keda_*`` series existing dashboards use."""


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    kubernetes: KubernetesSettings = KubernetesSettings()
    """How to reach the API server and what to look at there."""
    polling: PollingSettings = PollingSettings()
    """How metric sources are read."""
    scaling: ScalingSettings = ScalingSettings()
    """How objects are reconciled."""
    memory: MemorySettings = MemorySettings()
    """Where the histories behind decisions are kept."""
    server: ServerSettings = ServerSettings()
    """The service's own HTTP endpoints."""
    webhook: WebhookSettings = WebhookSettings()
    """The validating admission webhook."""
    external: ExternalSettings = ExternalSettings()
    """The gRPC external scaler."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """What the service says about itself."""


def load_settings(
    flags: Mapping[str, Mapping[str, Any]] | None = None, *, file: str | Path | None = None
) -> Settings:
    """Read the settings of this process.

    Args:
        flags: Values given on the command line, by group and name; None values count as not given.
        file: Settings file; None = the one ``FLYBALL_CONFIG`` names, if any.

    Raises:
        ConfigError: Every problem of all three places at once, each with its setting and variable.
    """
    path = file or os.environ.get(FILE_VARIABLE)
    from_file = _read_file(Path(path)) if path else {}
    given = {
        group: {name: value for name, value in values.items() if value is not None}
        for group, values in (flags or {}).items()
    }

    class Loaded(Settings):
        @classmethod
        @override
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, InitSettingsSource(settings_cls, from_file))

    problems = _unknown_variables()
    # Typed loosely: the groups are still plain mappings here, validation makes them models.
    build: Callable[..., Settings] = Loaded
    try:
        loaded = build(**{group: values for group, values in given.items() if values})
    except ValidationError as exc:
        problems += [_problem(error) for error in exc.errors(include_url=False)]
    except SettingsError as exc:
        problems += _unreadable_variables() or [shorten(str(exc))]
    else:
        if not problems:
            return Settings.model_construct(
                **{name: getattr(loaded, name) for name in Settings.model_fields}
            )
    raise ConfigError("settings: " + "; ".join(sorted(set(problems))))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigError(f"settings file {path}: {shorten(str(exc))}") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"settings file {path}: must be a mapping of groups, such as 'polling:'")
    return content


def _unknown_variables() -> list[str]:
    """Name the variables with our prefix that mean nothing.

    Only names with ``__`` are ours: for a Service called ``flyball`` the kubelet sets
    ``FLYBALL_PORT``, ``FLYBALL_SERVICE_HOST`` and more in every pod of the namespace.
    """
    problems = []
    for variable in os.environ:
        group, separator, _ = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and separator and group not in Settings.model_fields:
            groups = ", ".join(name.upper() for name in Settings.model_fields)
            problems.append(f"variable {variable}: no such group; groups are {groups}")
    return problems


def _unreadable_variables() -> list[str]:
    """Name the variables that must be JSON and are not; the library names only their group."""
    problems = []
    for variable, value in os.environ.items():
        if not variable.upper().startswith(PREFIX):
            continue
        group, _, name = variable.upper().removeprefix(PREFIX).lower().partition("__")
        form = _json_form(group, name)
        if not form:
            continue
        try:
            json.loads(value)
        except ValueError:
            problems.append(f"variable {variable} = {shorten(repr(value), 60)}: {form}")
    return problems


def _json_form(group: str, name: str) -> str:
    """Return what a variable takes whose value is JSON, empty for others.

    Args:
        group: Of settings.
        name: Of a setting; empty = the variable is the group's.
    """
    if group not in Settings.model_fields:
        return ""
    if not name:
        wanted = f"{PREFIX}{group.upper()}__<NAME>"
        known = ", ".join(one.upper() for one in _names_of(group))
        return f"{group} is a group of settings: set {wanted}, where <NAME> is one of {known}"
    field = _group_of(group).model_fields.get(name)
    is_list = field is not None and get_origin(field.annotation) is tuple
    return """must be a JSON list, such as '["a", "b"]'""" if is_list else ""


def _problem(error: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        known = _names_of(location[0]) if len(location) > 1 else list(Settings.model_fields)
        return f"{'.'.join(location)}: no such setting; known here are {', '.join(known)}"
    variable = PREFIX + "__".join(part.upper() for part in location)
    given = shorten(repr(error.get("input")), 60)
    name = location[1] if len(location) > 1 else ""
    accepted = _json_form(location[0], name) if len(location) <= len(("group", "name")) else ""
    text = "; ".join(filter(None, (error["msg"], accepted)))
    return f"{'.'.join(location)} = {given}: {text} (variable {variable})"


def _names_of(group: str) -> list[str]:
    return list(_group_of(group).model_fields)


def _group_of(name: str) -> type[BaseModel]:
    model = Settings.model_fields[name].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model
