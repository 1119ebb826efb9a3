"""Commands of ``flyball`` that simulate; found by entry point, imported when they run."""
