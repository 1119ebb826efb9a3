"""What is deployed, read as the tools of a user read it: Dockerfile, Kustomize base, RBAC rules."""
