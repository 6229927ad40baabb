"""What one verification costs, as a ratio to the bare signature check: `python -m benchmarks`."""
