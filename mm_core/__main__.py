"""``python -m mm_core``: the command line."""

from mm_core.cli import main

if __name__ == "__main__":
    main()
