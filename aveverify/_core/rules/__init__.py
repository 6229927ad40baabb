"""What Convex asks of a token beyond the standards, by kind of provider."""
