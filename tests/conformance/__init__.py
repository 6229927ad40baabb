"""The token vectors: thousands of tokens, each with its one right answer.

`convex/` and `attacks/` hold JSON lines, one self-contained case each: a configuration, what the issuer's endpoints
answer, a clock, a token, and the expected answer. `rfc.json.gz` and Wycheproof's files test what is below: compact JWS
and the signature primitives.
"""
