"""When keys are fetched, used and dropped: pure decisions over an immutable state."""
