"""What arrives: traces, generators, composition and importers."""
