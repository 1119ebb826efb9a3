"""What makes a ScaledJob or an authentication object invalid, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.api.parse import check_object, parse_object
from autoscaler.api.scaledjob import ScaledJob
from tests.unit.api.objects import KEDA, REDIS, authentication, problems_of, scaled_job

SECRET = {"valueFrom": {"secretKeyRef": {"name": "oauth", "key": "secret"}}}
OAUTH2 = {
    "type": "clientCredentials",
    "clientId": "worker",
    "clientSecret": SECRET,
    "tokenUrl": "https://login.example.com/token",
}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"jobTargetRef": None}, "spec.jobTargetRef"),
        ({"jobTargetRef": {}}, "spec.jobTargetRef.template"),
        ({"triggers": []}, "spec.triggers"),
        ({"triggers": [{**REDIS, "metricType": "Value"}]}, "spec.triggers[0].metricType"),
        ({"minReplicaCount": 5, "maxReplicaCount": 4}, "spec.minReplicaCount"),
        ({"rolloutStrategy": "Gradual"}, "spec.rolloutStrategy"),
        ({"rollout": {"strategy": "grad"}}, "spec.rollout.strategy"),
        ({"scalingStrategy": {"strategy": "acurate"}}, "spec.scalingStrategy.strategy"),
        (
            {"scalingStrategy": {"multipleScalersCalculation": "mean"}},
            "spec.scalingStrategy.multipleScalersCalculation",
        ),
        (
            {"scalingStrategy": {"customScalingRunningJobPercentage": "half"}},
            "spec.scalingStrategy.customScalingRunningJobPercentage",
        ),
        ({"successfulJobsHistoryLimit": -1}, "spec.successfulJobsHistoryLimit"),
    ],
)
def test_each_job_rule_names_its_field(spec: dict[str, Any], field: str) -> None:
    """One broken rule gives exactly one problem."""
    assert list(problems_of(scaled_job(spec))) == [field]


def test_a_long_job_name_is_refused() -> None:
    """Names travel in label values, which end at 63 characters."""
    assert list(problems_of(scaled_job(name="x" * 64))) == ["metadata.name"]


def test_words_keda_takes_for_its_default_only_warn_on_its_own_objects() -> None:
    """An adopted ScaledJob with an unknown strategy keeps running as it did."""
    raw = scaled_job({"scalingStrategy": {"strategy": "fancy"}}, api_version=KEDA)
    obj, problems = check_object(raw)
    assert isinstance(obj, ScaledJob)
    assert [(p.field, p.is_warning) for p in problems] == [("spec.scalingStrategy.strategy", True)]


def test_the_job_template_is_handed_on_as_it_is() -> None:
    """Nothing inside ``jobTargetRef`` is interpreted, except that nulls count as absent."""
    pod = {"spec": {"containers": [{"name": "main", "x": {"y": [1, "z"]}}]}}
    obj = parse_object(scaled_job({"jobTargetRef": {"template": pod, "parallelism": 1}}))
    assert isinstance(obj, ScaledJob)
    assert obj.spec.job_target_ref == {"template": pod, "parallelism": 1}
    assert obj.polling_interval_seconds == 30.0


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"podIdentity": {"provider": "azure"}}, "spec.podIdentity.provider"),
        (
            {"podIdentity": {"provider": "azure-workload", "identityId": ""}},
            "spec.podIdentity.identityId",
        ),
        (
            {"podIdentity": {"provider": "azure-workload", "identityAuthorityHost": "h"}},
            "spec.podIdentity.identityTenantId",
        ),
        (
            {"podIdentity": {"provider": "aws", "roleArn": "r", "identityOwner": "workload"}},
            "spec.podIdentity.roleArn",
        ),
        ({"podIdentity": {"provider": "aws", "externalID": "e"}}, "spec.podIdentity.roleArn"),
        (
            {
                "awsSecretManager": {
                    "podIdentity": {"provider": "aws", "externalID": "e"},
                    "secrets": [],
                }
            },
            "spec.awsSecretManager.podIdentity.roleArn",
        ),
        ({"oauth2": {**OAUTH2, "type": "password"}}, "spec.oauth2.type"),
        ({"oauth2": {**OAUTH2, "clientId": ""}}, "spec.oauth2.clientId"),
        ({"oauth2": {**OAUTH2, "tokenUrl": "login.example.com"}}, "spec.oauth2.tokenUrl"),
        ({"oauth2": {**OAUTH2, "tokenUrl": "http://[::1"}}, "spec.oauth2.tokenUrl"),
        (
            {"podIdentity": {"provider": "gcp"}, "oauth2": {**OAUTH2, "clientId": ""}},
            "spec.oauth2.clientId",
        ),
        ({"secretTargetRef": [{"parameter": "p", "name": "n"}]}, "spec.secretTargetRef[0].key"),
        ({"env": [{"parameter": "", "name": "n"}]}, "spec.env[0].parameter"),
        ({"filePath": "a.json"}, "spec.filePath"),
        (
            {"hashiCorpVault": {"address": "a", "authentication": "ldap", "secrets": []}},
            "spec.hashiCorpVault.authentication",
        ),
        ({"azureKeyVault": {"vaultUri": "u"}}, "spec.azureKeyVault.secrets"),
    ],
)
def test_each_authentication_rule_names_its_field(spec: dict[str, Any], field: str) -> None:
    """One broken rule gives exactly one problem, whatever other sources the object has."""
    assert list(problems_of(authentication(spec))) == [field]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.json", "a/../../b"])
def test_credential_files_stay_below_their_root(path: str) -> None:
    """A cluster-wide object may name a file, but only below the configured folder."""
    raw = authentication({"filePath": path}, kind="ClusterTriggerAuthentication")
    assert list(problems_of(raw)) == ["spec.filePath"]
    good = authentication({"filePath": "team/a.json"}, kind="ClusterTriggerAuthentication")
    assert problems_of(good) == {}


def test_every_source_of_keda_is_understood() -> None:
    """An object with all kinds of sources is valid as it stands."""
    spec = {
        "podIdentity": {"provider": "aws", "roleArn": "arn:aws:iam::1:role/x", "externalID": "e"},
        "secretTargetRef": [{"parameter": "p", "name": "n", "key": "k"}],
        "configMapTargetRef": [{"parameter": "p", "name": "n", "key": "k"}],
        "env": [{"parameter": "p", "name": "n", "containerName": "c"}],
        "boundServiceAccountToken": [{"parameter": "p", "serviceAccountName": "s"}],
        "oauth2": {**OAUTH2, "scopes": ["a"], "tokenUrlParams": {"k": "v"}},
        "hashiCorpVault": {
            "address": "https://vault.example.com",
            "authentication": "kubernetes",
            "role": "r",
            "mount": "m",
            "credential": {"serviceAccount": "/var/token"},
            "secrets": [
                {"parameter": "p", "path": "a/b", "key": "k", "type": "secretV2"},
                {
                    "parameter": "c",
                    "path": "pki",
                    "key": "certificate",
                    "type": "pki",
                    "pkiData": {"commonName": "worker", "ttl": "1h"},
                },
            ],
        },
        "azureKeyVault": {
            "vaultUri": "https://v.example.com",
            "credentials": {"clientId": "c", "tenantId": "t", "clientSecret": SECRET},
            "cloud": {"type": "Private", "keyVaultResourceURL": "https://x"},
            "secrets": [{"parameter": "p", "name": "n", "version": "1"}],
        },
        "awsSecretManager": {
            "region": "eu-central-1",
            "credentials": {"accessKey": SECRET, "accessSecretKey": SECRET},
            "secrets": [{"parameter": "p", "name": "n", "versionStage": "s", "secretKey": "k"}],
        },
        "gcpSecretManager": {
            "credentials": {"clientSecret": SECRET},
            "secrets": [{"parameter": "p", "id": "i"}],
        },
    }
    assert problems_of(authentication(spec)) == {}
    assert problems_of(authentication(spec, api_version=KEDA)) == {}


def test_secrets_in_wrong_places_are_not_repeated() -> None:
    """A token of the wrong type is refused without being shown."""
    vault = {"address": "a", "authentication": "token", "credential": {"token": ["hunter2"]}}
    problems = problems_of(authentication({"hashiCorpVault": {**vault, "secrets": []}}))
    assert list(problems) == ["spec.hashiCorpVault.credential.token"]
    assert "hunter2" not in str(problems)
