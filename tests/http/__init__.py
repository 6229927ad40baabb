"""The integrations: one contract, asked through every kind of server and client that we can run in a test."""
