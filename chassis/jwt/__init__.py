"""Access tokens as every verifier must read them: one strict form, one key, one algorithm.

A parser of the compact form stands in front of the signature: libraries by themselves accept a
missing `exp`, any `typ`, duplicate JSON keys, UTF-16 and headers that name keys of the sender
(RFC 8725, RFC 9068). The signature is checked by `cryptography`.
"""

from chassis.jwt.claims import AccessToken
from chassis.jwt.errors import InvalidToken, TokenExpired, UnknownKey
from chassis.jwt.keys import ALGORITHMS, InvalidKeySet, KeySet, VerificationKey
from chassis.jwt.verifier import MAX_LEEWAY, TOKEN_TYPE, AccessTokenVerifier

__all__ = [
    "ALGORITHMS",
    "MAX_LEEWAY",
    "TOKEN_TYPE",
    "AccessToken",
    "AccessTokenVerifier",
    "InvalidKeySet",
    "InvalidToken",
    "KeySet",
    "TokenExpired",
    "UnknownKey",
    "VerificationKey",
]
