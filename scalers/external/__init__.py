"""``external`` and ``external-push``: somebody's external scaler, read as KEDA reads it."""

from scalers.external.scaler import ExternalPushScaler, ExternalScaler

__all__ = ["ExternalPushScaler", "ExternalScaler"]
