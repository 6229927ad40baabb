"""The pure core, one file per module: rules over bytes and instants."""
