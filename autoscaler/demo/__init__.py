"""The embedded cluster: an in-memory Kubernetes API server, workloads, load."""
