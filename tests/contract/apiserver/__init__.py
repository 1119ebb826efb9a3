"""What a Kubernetes API server does, as far as this project relies on it.

The suite runs against the embedded API server, and against a real kube-apiserver when
``CONTRACT_APISERVER_URL`` names one reachable without credentials (``kubectl proxy`` makes one).
A test may only assert what both do.
"""
