"""The command line: the only home of typer and rich."""

from mm_core.cli.app import main

__all__ = ["main"]
