"""The flyball command line."""
