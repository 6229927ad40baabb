"""Opt-in lane: tokens of an OpenID provider that is not ours, over real HTTP. `make real-issuer` runs it."""
