"""Faults that a study is put through, and what is lost: one file a subject, one entry in `SUBJECTS`."""

SUBJECTS: tuple[str, ...] = ("trouble", "kills", "first", "disks", "foreign", "secrets", "words", "many")
"""The modules of this folder that hold faults, in the order of the table; each has a list `FAULTS`."""
