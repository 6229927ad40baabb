"""The drill's own parts."""
