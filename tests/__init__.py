"""The tests of aveverify: one folder per room, one per kind of evidence."""
