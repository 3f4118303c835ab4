"""Training: one loop, and one loss per part. Knows tensors, not datasets."""
