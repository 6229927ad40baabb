"""For the tests of your application: an issuer that makes real tokens and serves real keys, and a clock that you move.

    clock = FakeClock()
    issuer = FakeIssuer(clock=clock)
    verifier = issuer.verifier()
    assert verifier.verify(issuer.token(sub="ada", plan="pro"))["plan"] == "pro"

With pytest, `ave_clock`, `ave_issuer`, `ave_verifier` and `ave_token` are fixtures (`pytest_aveverify`).

Nothing here replaces a part of the verifier: discovery, key cache and signatures run as in production.
"""

from aveverify.testing._clock import FakeClock
from aveverify.testing._fake_issuer import FakeIssuer
from aveverify.testing._scene import Scene

__all__ = ["FakeClock", "FakeIssuer", "Scene"]
