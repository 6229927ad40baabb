"""The key sets of a verifier, against real local servers: what is fetched, waited for, kept and given up."""
