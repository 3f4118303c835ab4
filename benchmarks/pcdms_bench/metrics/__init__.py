"""Metrics: features or pictures in, plain numbers out. Caching and files stay around them."""
