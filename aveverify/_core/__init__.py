"""The pure core: rules over bytes and instants. No clock, no network, no lock, no log, no randomness."""
