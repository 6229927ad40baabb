"""The examples, through the test client of their framework and as separate processes."""
