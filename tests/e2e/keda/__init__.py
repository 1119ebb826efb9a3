"""A real KEDA on a control plane, and what it is compared with."""
