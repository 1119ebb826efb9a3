"""The forecasts that predictive baselines make; each sees only what was readable before."""
