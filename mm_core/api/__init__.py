"""HTTP: the only home of bottle and waitress, of header parsing and of metrics."""

from mm_core.api.app import create_app

__all__ = ["create_app"]
