"""The same user in Convex and in Python."""
