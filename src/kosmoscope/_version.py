"""The one place that holds the version; the changelog is tested against it."""

__version__ = "0.1.0"
