"""What people write: models per kind, their checks, and the CRDs made from them."""
