"""One file per trigger type, independent of one another, found by entry point."""
