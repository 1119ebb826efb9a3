"""The service on a real control plane: etcd, kube-apiserver and the loops around them."""
