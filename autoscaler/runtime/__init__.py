"""Asyncio mechanics without Kubernetes: clock, backoff, work queue, supervision, throttling."""
