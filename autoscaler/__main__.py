"""``python -m autoscaler``: the ``flyball`` command line."""

from autoscaler.cli.main import main

if __name__ == "__main__":
    main()
