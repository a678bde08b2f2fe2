"""Response compression: `Compression` is the middleware, the rest are its parts. Works with the standard library alone
(gzip, deflate); the `compression` extra adds zstd and br and makes gzip faster."""

from cortex_core.asgi.compression.codecs import Codec, Encoder, Levels, installed_codecs
from cortex_core.asgi.compression.deciding import Worth
from cortex_core.asgi.compression.encoding import CompressionDetails
from cortex_core.asgi.compression.middleware import Compression
from cortex_core.asgi.compression.negotiation import Choice, negotiate
from cortex_core.asgi.compression.precompressed import Precompressed
from cortex_core.asgi.compression.pressure import Load, Pressure
from cortex_core.asgi.compression.rules import compressible

__all__ = [
    "Choice",
    "Codec",
    "Compression",
    "CompressionDetails",
    "Encoder",
    "Levels",
    "Load",
    "Precompressed",
    "Pressure",
    "Worth",
    "compressible",
    "installed_codecs",
    "negotiate",
]
