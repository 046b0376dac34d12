"""Shared logic of the transducer-export workers; importable, with no command line of its own."""

__version__ = "0.1.0"
