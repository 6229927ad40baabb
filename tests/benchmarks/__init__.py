"""The benchmarks time what their names say, and their arithmetic is right."""
