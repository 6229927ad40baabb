"""How the suite runs: what coverage measures, how many examples and vectors, and what the end of a run reports."""
