"""What holds for every input, found by Hypothesis: sentences of the standards, and of the design."""
