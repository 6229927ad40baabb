"""Opt-in tests: tokens of an OpenID provider of another project, over real HTTP. `make real-issuer` runs them."""
