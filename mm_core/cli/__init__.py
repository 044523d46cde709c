"""The command line: the only home of typer and rich."""

from mm_core.cli.app import main
from mm_core.cli.versions import manage_models

__all__ = ["main", "manage_models"]
