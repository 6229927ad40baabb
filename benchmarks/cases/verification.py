"""The suite `verification`: one token, from the text to the user, by us and by the other libraries."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from aveverify import InvalidTokenError, Provider, Reason, Verifier
from benchmarks.case import Case, UnexpectedOutcomeError, make_key
from benchmarks.cases import Suite
from benchmarks.cases.strictness import try_flaws
from benchmarks.contestants import Absent, Contestant, load_peers
from benchmarks.contestants.ours import OURS, custom_jwt, make_verifier, oidc, provider_of
from benchmarks.contestants.raw import make_digest, make_raw
from benchmarks.corpus import Corpus

MAIN = "RS256-2048"
REASONS = {
    "malformed": Reason.MALFORMED_PAYLOAD,
    "no provider": Reason.UNKNOWN_ISSUER,
    "unknown kid": Reason.UNKNOWN_KEY,
    "expired": Reason.EXPIRED,
    "forged": Reason.BAD_SIGNATURE,
}


def baselines_of(name: str, group: str = "", setting: str = "") -> MappingProxyType[str, str]:
    """The columns of a case: the bare check, the digest, and for a peer our own time for the same."""
    columns = {"raw": make_key("limit", name, "raw"), "sha256": make_key("limit", name, "sha256")}
    if group:
        columns[OURS.name] = make_key(group, setting, OURS.name)
    return MappingProxyType(columns)


def make_suite(corpus: Corpus, peers: tuple[str, ...]) -> Suite:
    """Prepare every case of this process.

    Args:
        corpus: Keys and tokens; the issuer answers.
        peers: The peers that take part here.
    """
    suite = Suite()
    contestants, absent = load_peers(peers)
    suite.absent += absent
    for name in corpus.keys:
        raw, signatures = make_raw(corpus, name)
        digest, tokens = make_digest(corpus, name)
        suite.cases.append(Case("limit", name, "raw", raw, signatures, baselines_of(name)))
        suite.cases.append(Case("limit", name, "sha256", digest, tokens, baselines_of(name)))
        for contestant in (OURS, *contestants):
            add_cold(suite, corpus, name, contestant)
    add_other_backend(suite, corpus)
    suite.cases += [*policies(corpus), *entries(corpus), *warm(corpus), *refusals(corpus)]
    for contestant in contestants:
        suite.cases += peer_refusals(corpus, contestant)
    return suite


def add_other_backend(suite: Suite, corpus: Corpus) -> None:
    """The bare check with another backend than `cryptography`'s; or a row with the reason why not."""
    try:
        from benchmarks.contestants.aws_lc import make_aws_lc
    except ImportError as error:
        suite.absent.append(Absent(f"limit | {MAIN} | AWS-LC", f"not measured: {error.name} is not installed here"))
        return
    check, signatures = make_aws_lc(corpus, MAIN)
    suite.cases.append(Case("limit", MAIN, "AWS-LC", check, signatures, baselines_of(MAIN)))


def add_cold(suite: Suite, corpus: Corpus, name: str, contestant: Contestant) -> None:
    """Full verifications under a loaded key, of tokens that are not remembered; or a row with the reason why not."""
    if contestant.note:
        suite.notes[contestant.name] = contestant.note
    if name not in contestant.algorithms:
        suite.absent.append(Absent(f"cold | {name} | {contestant.name}", "not supported"))
        return
    verify = contestant.make(corpus, name)
    refused = try_flaws(contestant, verify, corpus, name)
    known = suite.strictness.setdefault(contestant.name, refused)
    # The signature's spelling differs between algorithms; a check counts where it is made for all of them.
    suite.strictness[contestant.name] = {flaw: known[flaw] and refused[flaw] for flaw in known}
    suite.cases.append(
        Case("cold", name, contestant.name, verify, corpus.tokens[name], baselines_of(name, "cold", name))
    )


def policies(corpus: Corpus) -> list[Case]:
    """The other policy, and one provider among twenty; the last of them is ours."""
    others = [Provider(issuer=f"https://issuer-{n:02}.example", application_id=corpus.audience) for n in range(19)]
    twenty = Verifier(*others, oidc(corpus), token_cache_size=0)
    verifiers = {
        "RS256-2048, customJwt": make_verifier(custom_jwt(corpus, MAIN)),
        "RS256-2048, 20 providers": twenty,
    }
    return [ours("policy", setting, verifier, corpus) for setting, verifier in verifiers.items()]


def ours(group: str, setting: str, verifier: Verifier, corpus: Corpus) -> Case:
    """A case of `verify`, proven on its first token."""
    tokens = corpus.tokens[MAIN]
    expect_acceptance(setting, verifier, tokens[0])
    return Case(group, setting, OURS.name, verifier.verify, tokens, baselines_of(MAIN))


def entries(corpus: Corpus) -> list[Case]:
    """The other functions of the public API."""
    verifier = make_verifier(oidc(corpus))
    tokens = corpus.tokens[MAIN]
    expect_acceptance("entrances", verifier, tokens[0])
    headers = [f"Bearer {token}" for token in tokens]
    baselines = baselines_of(MAIN)
    return [
        Case("entrance", "verify(bytes)", OURS.name, verifier.verify, [t.encode() for t in tokens], baselines),
        Case("entrance", "verify_async", OURS.name, verifier.verify_async, tokens, baselines, is_async=True),
        Case("entrance", "verify_header", OURS.name, verifier.verify_header, headers, baselines),
    ]


def warm(corpus: Corpus) -> list[Case]:
    """Tokens that the verifier has seen before."""
    cases: list[Case] = []
    for name in corpus.keys:
        verifier = make_verifier(provider_of(corpus, name), token_cache_size=100_000)
        tokens = corpus.tokens[name]
        for token in tokens:
            verifier.verify(token)
        if verifier.status().cached_tokens != len(set(tokens)):
            raise UnexpectedOutcomeError(f"warm, {name}", "every token remembered", "fewer")
        cases.append(Case("warm", name, OURS.name, verifier.verify, tokens, baselines_of(name)))
        if name == MAIN:
            headers = [f"Bearer {token}" for token in tokens]
            cases += [
                Case("warm", f"{name}, verify_async", OURS.name, verifier.verify_async, tokens, baselines_of(name),
                     is_async=True),
                Case("warm", f"{name}, verify_header", OURS.name, verifier.verify_header, headers, baselines_of(name)),
            ]  # fmt: skip
    return cases


def refusals(corpus: Corpus) -> list[Case]:
    """Tokens that are refused, each for the reason that the case is named after."""
    verifier = make_verifier(oidc(corpus))
    cases = []
    for kind, tokens in corpus.refused.items():

        def verify(token: str, reason: Reason = REASONS[kind]) -> None:
            try:
                verifier.verify(token)
            except InvalidTokenError as error:
                if error.reason is reason:
                    return
                raise
            raise UnexpectedOutcomeError(reason, "refusal", "acceptance")

        verify(tokens[0])
        cases.append(Case("refused", kind, OURS.name, verify, tokens, baselines_of(MAIN)))
    return cases


def peer_refusals(corpus: Corpus, contestant: Contestant) -> list[Case]:
    """The same refusals by a peer; what it does with an unknown kid depends on the key it is given, so that is out."""
    peer = contestant.make(corpus, MAIN)
    cases = []
    for kind in ("malformed", "expired", "forged"):

        def verify(token: str) -> None:
            try:
                peer(token)
            except Exception:
                return
            raise UnexpectedOutcomeError(contestant.name, "refusal", "acceptance")

        tokens: list[Any] = corpus.refused[kind]
        verify(tokens[0])
        cases.append(Case("refused", kind, contestant.name, verify, tokens, baselines_of(MAIN, "refused", kind)))
    return cases


def expect_acceptance(case: str, verifier: Verifier, token: str) -> None:
    """Check that a verifier accepts a token and returns its user."""
    if not verifier.verify(token).subject.startswith("user_"):
        raise UnexpectedOutcomeError(case, "the user of the token", "another")
