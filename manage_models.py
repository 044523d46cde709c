"""List, show, load, publish and tidy model versions: the same commands as ``python -m mm_core versions``."""

from mm_core.cli.versions import manage_models

if __name__ == "__main__":
    manage_models()
