"""Layouts of datasets on disk: one file each, behind one table; all give the same pairs."""
