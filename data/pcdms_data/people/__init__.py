"""The embedded dataset: procedural clothed people, rendered from a CC0 body mesh."""
