"""The benchmarks: what they time is what they say, and their arithmetic is right."""
