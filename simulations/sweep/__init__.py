"""Many runs at once: on this core, on processes, or on a Dask cluster, with the same result."""
