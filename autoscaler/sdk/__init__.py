"""What a scaler may import, and nothing else of the service."""
