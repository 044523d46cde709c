"""Use cases: the only door from the edges to files, store and bytes."""

from mm_core.registry.registry import Registry

__all__ = ["Registry"]
