"""The tests of aveverify: one folder per area, one per kind of evidence."""
