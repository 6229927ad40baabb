"""What one verification costs, beside the bare signature check and beside other libraries: `python -m benchmarks`."""
