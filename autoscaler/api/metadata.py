"""``metadata``: the part of it the autoscaler reads."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from autoscaler.api.fields import ApiModel, Timestamp, parse_timestamp

OTHER_FIELDS: Final = frozenset(
    {"generateName", "managedFields", "ownerReferences", "selfLink", "deletionGracePeriodSeconds"}
)
"""Fields of ``metadata`` that are right but of no interest here."""


class ObjectMeta(ApiModel):
    """Identity and bookkeeping of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone for cluster-scoped objects."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def created_at(self) -> float:
        """Creation, epoch seconds; 0 for an object that is not stored yet."""
        return parse_timestamp(self.creation_timestamp) if self.creation_timestamp else 0.0

    @property
    def is_deleting(self) -> bool:
        """Whether deletion has been asked for."""
        return self.deletion_timestamp is not None
