"""Virtual time: the exact replay, the vectorised kernel and the per-request referee."""
