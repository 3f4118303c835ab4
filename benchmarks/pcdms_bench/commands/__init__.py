"""One module per command family; each parses its options and hands over."""
