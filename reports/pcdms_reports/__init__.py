"""Score tables in, paper tables, plots and pages out. Reads files only, never runs a model."""
