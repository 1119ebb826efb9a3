"""Flyball: an event-driven autoscaler for Kubernetes.

The decision engine is :func:`autoscaler.core.decide.decide`; everything else builds what it sees or
applies what it says.
"""

__version__ = "0.1.0"
