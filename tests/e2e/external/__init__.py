"""A real KEDA, given our decisions by ``flyball external-scaler``."""
