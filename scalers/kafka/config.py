"""Parameters of the ``kafka`` trigger and what they say about the connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from autoscaler.sdk import AUTH, ENV, METADATA, Param, Problem, TriggerConfig, TriggerContext
from autoscaler.sdk.conversion import to_int_list
from autoscaler.sdk.metrics import check_target
from autoscaler.sdk.tls import TlsSettings
from scalers.kafka.lag import LagRules

INT32_MAX: Final = 2**31 - 1
UNSUPPORTED_SASL: Final = ("gssapi", "aws_msk_iam")

_VERSION = re.compile(r"0\.\d+\.\d+\.\d+|[1-9]\d*\.\d+\.\d+")
_ENV_FIRST = (ENV, METADATA)
_Switch = Literal["enable", "disable"]
_Mechanism = Literal["none", "plaintext", "scram_sha256", "scram_sha512", "oauthbearer", "gssapi"]


class KafkaLogin(TriggerConfig):
    """TLS and SASL parameters of the ``kafka`` trigger."""

    tls: Annotated[_Switch | None, Param("tls", doc="Connect with TLS.")] = None
    tls_of_auth: Annotated[
        _Switch | None, Param("tls", order=(AUTH,), doc="Connect with TLS, said with the secrets.")
    ] = None
    unsafe_ssl: Annotated[
        bool, Param("unsafeSsl", doc="Accept any server certificate (for tests).")
    ] = False
    ca: Annotated[str, Param("ca", order=(AUTH,), doc="PEM of the authorities to trust.")] = ""
    cert: Annotated[str, Param("cert", order=(AUTH,), doc="PEM of the client certificate.")] = ""
    key: Annotated[
        SecretStr | None, Param("key", order=(AUTH,), doc="PEM of the certificate's private key.")
    ] = None
    key_password: Annotated[
        SecretStr | None, Param("keyPassword", order=(AUTH,), doc="Password of that key.")
    ] = None
    sasl: Annotated[_Mechanism | None, Param("sasl", doc="SASL mechanism.")] = None
    sasl_of_auth: Annotated[
        _Mechanism | None, Param("sasl", order=(AUTH,), doc="SASL mechanism, with the secrets.")
    ] = None
    oauth_provider: Annotated[
        Literal["bearer", "aws_msk_iam"],
        Param(
            "saslTokenProvider", order=(METADATA, AUTH), doc="Where oauthbearer tokens are from."
        ),
    ] = "bearer"
    aws_region: Annotated[str, Param("awsRegion", doc="Region of the MSK cluster.")] = ""
    username: Annotated[str, Param("username", order=(AUTH,), doc="SASL user, OAuth client.")] = ""
    password: Annotated[
        SecretStr | None, Param("password", order=(AUTH,), doc="Password, OAuth client secret.")
    ] = None
    scopes: Annotated[
        tuple[str, ...], Param("scopes", order=(AUTH,), doc="Scopes of the OAuth token.")
    ] = ()
    token_url: Annotated[
        str,
        Param(
            "oauthTokenEndpointUri",
            order=(AUTH,),
            endpoint="url",
            doc="Where OAuth tokens are from.",
        ),
    ] = ""
    oauth_extensions: Annotated[
        dict[str, str] | None,
        Param("oauthExtensions", order=(AUTH,), doc="SASL extensions sent with the token."),
    ] = None
    keytab: Annotated[SecretStr | None, Param("keytab", order=(AUTH,), doc="Kerberos keytab.")] = (
        None
    )
    realm: Annotated[str, Param("realm", order=(AUTH,), doc="Kerberos realm.")] = ""
    kerberos_config: Annotated[
        str, Param("kerberosConfig", order=(AUTH,), doc="Contents of krb5.conf.")
    ] = ""
    kerberos_service_name: Annotated[
        str, Param("kerberosServiceName", order=(AUTH,), doc="Kerberos service of the brokers.")
    ] = ""
    kerberos_disable_fast: Annotated[
        bool, Param("kerberosDisableFAST", order=(AUTH,), doc="Do without FAST negotiation.")
    ] = False

    @property
    def mechanism(self) -> str:
        """Return the SASL mechanism, ``none`` when there is no login."""
        return self.sasl or self.sasl_of_auth or "none"

    @property
    def encrypted(self) -> bool:
        """Return whether to connect with TLS."""
        return "enable" in (self.tls, self.tls_of_auth)

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        del context
        if self.tls == "enable" and self.tls_of_auth is not None:
            yield "tls", "is given in the trigger and in the authentication; give it once"
        if self.sasl is not None and self.sasl_of_auth is not None:
            yield "sasl", "is given in the trigger and in the authentication; give it once"
        if self.encrypted and self.cert and self.key is None:
            yield "key", "is required with cert"
        if self.encrypted and self.key is not None and not self.cert:
            yield "cert", "is required with key"
        if self.mechanism == "gssapi":
            yield from self._check_kerberos()
        elif self.mechanism == "oauthbearer" and self.oauth_provider == "aws_msk_iam":
            yield from self._check_msk()
        elif self.mechanism != "none":
            yield from self._check_password()

    def _check_password(self) -> Iterable[Problem]:
        if not self.username:
            yield "username", f"is required with sasl {self.mechanism}"
        if self.password is None:
            yield "password", f"is required with sasl {self.mechanism}"
        if self.mechanism == "oauthbearer" and not self.token_url:
            yield "oauthTokenEndpointUri", "is required with sasl oauthbearer"

    def _check_msk(self) -> Iterable[Problem]:
        if not self.encrypted:
            yield "tls", "must be enable with saslTokenProvider aws_msk_iam"
        if not self.aws_region:
            yield "awsRegion", "is required with saslTokenProvider aws_msk_iam"
        yield "saslTokenProvider", "aws_msk_iam is not supported yet; use bearer, scram or tls"

    def _check_kerberos(self) -> Iterable[Problem]:
        if not self.username:
            yield "username", "is required with sasl gssapi"
        if (self.password is None) == (self.keytab is None):
            yield "password", "or keytab is required with sasl gssapi, but not both"
        yield "sasl", "gssapi is not supported yet; use scram_sha512, plaintext or oauthbearer"


class KafkaConfig(TriggerConfig):
    """Parameters of the ``kafka`` trigger."""

    bootstrap_servers: Annotated[
        tuple[str, ...],
        Param(
            "bootstrapServers",
            order=_ENV_FIRST,
            endpoint="host",
            doc="Brokers to start from, host:port,…",
        ),
    ]
    consumer_group: Annotated[
        str, Param("consumerGroup", order=_ENV_FIRST, doc="Group whose lag is read.")
    ]
    topic: Annotated[
        str, Param("topic", order=_ENV_FIRST, doc="Empty = all topics the group committed to.")
    ] = ""
    partition_limitation: Annotated[
        str, Param("partitionLimitation", doc="Count only these partitions of the topic: 1,4-7.")
    ] = ""
    lag_threshold: Annotated[
        int, Param("lagThreshold", doc="Target lag per replica, messages."), Field(gt=0)
    ] = 10
    activation_lag_threshold: Annotated[
        int,
        Param("activationLagThreshold", doc="The trigger is active above this lag."),
        Field(ge=0),
    ] = 0
    offset_reset_policy: Annotated[
        Literal["latest", "earliest"],
        Param("offsetResetPolicy", doc="Where the group starts when it has committed nothing."),
    ] = "latest"
    allow_idle_consumers: Annotated[
        bool, Param("allowIdleConsumers", doc="More replicas than partitions are fine.")
    ] = False
    exclude_persistent_lag: Annotated[
        bool,
        Param("excludePersistentLag", doc="Leave out partitions whose committed offset stands."),
    ] = False
    scale_to_zero_on_invalid_offset: Annotated[
        bool, Param("scaleToZeroOnInvalidOffset", doc="No committed offset counts as no lag.")
    ] = False
    limit_to_partitions_with_lag: Annotated[
        bool, Param("limitToPartitionsWithLag", doc="At most one replica per partition with lag.")
    ] = False
    ensure_even_distribution_of_partitions: Annotated[
        bool,
        Param(
            "ensureEvenDistributionOfPartitions",
            doc="Only replica counts that divide the partitions.",
        ),
    ] = False
    full_metadata: Annotated[
        bool, Param("fullMetadata", doc="Accepted for KEDA; only needed topics are ever read.")
    ] = True
    version: Annotated[
        str, Param("version", doc="Accepted for KEDA; the protocol version is negotiated.")
    ] = "1.0.0"
    login: KafkaLogin

    @property
    def partitions(self) -> frozenset[int] | None:
        """Return the partitions to count, None = all."""
        if not self.topic or not self.partition_limitation:
            return None
        return frozenset(to_int_list(self.partition_limitation))

    @property
    def rules(self) -> LagRules:
        """Return how lag is counted."""
        return LagRules(
            lag_threshold=self.lag_threshold,
            starts_at_beginning=self.offset_reset_policy == "earliest",
            allow_idle_consumers=self.allow_idle_consumers,
            exclude_persistent_lag=self.exclude_persistent_lag,
            scale_to_zero_on_invalid_offset=self.scale_to_zero_on_invalid_offset,
            limit_to_partitions_with_lag=self.limit_to_partitions_with_lag,
            ensure_even_distribution_of_partitions=self.ensure_even_distribution_of_partitions,
        )

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        yield from check_target("lagThreshold", self.lag_threshold, context)
        if not _VERSION.fullmatch(self.version):
            yield "version", f'"{self.version}" is no Kafka version such as 3.9.0'
        try:
            if any(not 0 <= one <= INT32_MAX for one in self.partitions or ()):
                yield "partitionLimitation", "holds a number that is no partition"
        except ValueError as error:
            yield "partitionLimitation", f'"{self.partition_limitation}" is not {error}'
        yield from self._check_limits()

    def _check_limits(self) -> Iterable[Problem]:
        limit, even = "limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions"
        if self.limit_to_partitions_with_lag:
            if self.allow_idle_consumers:
                yield limit, "and allowIdleConsumers exclude each other"
            if self.ensure_even_distribution_of_partitions:
                yield limit, f"and {even} exclude each other"
        if not self.topic:
            if self.limit_to_partitions_with_lag:
                yield "topic", f"is required with {limit}"
            if self.ensure_even_distribution_of_partitions:
                yield "topic", f"is required with {even}"
            if not self.full_metadata:
                yield "topic", "is required with fullMetadata: false"

    def endpoint(self) -> KafkaEndpoint:
        """Return what identifies the connection."""
        login = self.login
        tls = TlsSettings.of(
            ca=login.ca,
            certificate=login.cert,
            key=login.key,
            key_password=login.key_password,
            verify=not login.unsafe_ssl,
        )
        return KafkaEndpoint(
            bootstrap_servers=self.bootstrap_servers,
            tls=tls if login.encrypted else None,
            mechanism=login.mechanism,
            username=login.username,
            password=login.password,
            token_url=login.token_url,
            scopes=login.scopes,
            extensions=tuple(sorted((login.oauth_extensions or {}).items())),
        )


class KafkaEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka cluster, and as whom it is read.

    Attributes:
        tls: None = not encrypted.
        mechanism: SASL mechanism by KEDA's name, ``none`` = no login.
        token_url, scopes, extensions: Of ``oauthbearer``.
    """

    bootstrap_servers: tuple[str, ...]
    tls: TlsSettings | None = None
    mechanism: str = "none"
    username: str = ""
    password: SecretStr | None = None
    token_url: str = ""
    scopes: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
