"""``kafka``: how far a consumer group is behind."""

from scalers.kafka.config import KafkaConfig
from scalers.kafka.lag import Lag, LagRules, Partition, even_factor, lag_of
from scalers.kafka.scaler import KafkaScaler
from scalers.kafka.source import GroupOffsets, KafkaSource

__all__ = [
    "GroupOffsets",
    "KafkaConfig",
    "KafkaScaler",
    "KafkaSource",
    "Lag",
    "LagRules",
    "Partition",
    "even_factor",
    "lag_of",
]
