"""What a policy would have done in the days a Prometheus remembers."""
