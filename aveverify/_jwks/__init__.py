"""The key sets of one verifier: fetched, shared, renewed and looked up, with clocks, locks, threads and network."""
