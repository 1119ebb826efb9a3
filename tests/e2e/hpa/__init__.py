"""The real HPA controller and we on the same metric series: cases, metrics, recording, verdict."""
