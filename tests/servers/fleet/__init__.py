"""Fleets: worker processes, an issuer over HTTP and a store over TCP, all of them real."""
