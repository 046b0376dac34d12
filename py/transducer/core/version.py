"""The project's version, which goes into every graph's metadata: a new one rebuilds all graphs."""

__version__ = "0.1.0"
