"""The audit: how far each choice of a protocol alone moves each number of one set of pictures."""
