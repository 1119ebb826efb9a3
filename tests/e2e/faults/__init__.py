"""The service on a real control plane that fails: seeded episodes of seven faults."""
