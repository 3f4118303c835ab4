"""The authors' checkpoints: read, checked name by name, and turned into this package's models."""
