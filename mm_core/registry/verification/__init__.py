"""Verification of versions: five checks of each, those of the registration guide, each with what to do where it fails.

They answer the five troubles that the guide knows: a model that is not found, files that are missing, a version that is
there already, a normalizer that is not understood, and models that all say the same.
"""

from mm_core.registry.verification.verifier import Verifier

__all__ = ["Verifier"]
