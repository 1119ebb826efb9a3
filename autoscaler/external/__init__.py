"""KEDA's external scaler, served: other autoscalers get our decisions over gRPC."""
