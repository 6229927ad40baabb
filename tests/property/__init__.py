"""What holds for every input, found by Hypothesis: sentences of the standards, and our own promises."""
