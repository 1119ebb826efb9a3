"""Search for a cheaper policy with no more late requests."""
