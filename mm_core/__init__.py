"""Model Manager: from a directory of trained models to the bots that trade on them."""

__version__ = "0.1.0"
