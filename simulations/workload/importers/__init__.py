"""Recorded load from files and from Prometheus."""
