"""The forged-token corpus: what RFC 8725 warns of and what else was ever believed, each as the headers that show it.

Data, so that one list is run against the reader, every route of every service, and both lanes of the gateway. Each is
one step away from a token that is accepted: a test that accepts the genuine one and refuses these has looked at all.
"""

from cortex_core.testing.forgeries import claims, places, signatures, texts
from cortex_core.testing.forgeries.forger import EVERYTHING, Forger, Forgery, part
from cortex_core.testing.issuing import Issuer

__all__ = ["EVERYTHING", "Forger", "Forgery", "forgeries", "part"]


def forgeries(issuer: Issuer) -> list[Forgery]:
    """The corpus. Names are unique."""
    forger = Forger(issuer)
    tokens = [
        *signatures.algorithms(forger),
        *signatures.keys(forger),
        *signatures.signatures(forger),
        *claims.headers(forger),
        *claims.claims(forger),
        *claims.times(forger),
        *texts.texts(forger),
        *texts.encodings(forger),
    ]
    bearers = [Forgery(name, [(b"authorization", b"Bearer " + token)]) for name, token in tokens]
    return [*bearers, *places.internal(forger), *places.elsewhere(forger)]
