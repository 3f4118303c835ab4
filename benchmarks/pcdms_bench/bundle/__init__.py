"""Bundles: runs in one zip archive that another machine can verify and score again."""
