"""Password hashes: how they are made and verified, and the bounded pool that computes them."""

from services.identity.hashing.foreign import UnreadableHash, read_hash
from services.identity.hashing.hasher import Argon2Parameters, PasswordHasher, Verdict
from services.identity.hashing.pool import HashPool, Priority
from services.identity.hashing.service import Hashing

__all__ = [
    "Argon2Parameters",
    "HashPool",
    "Hashing",
    "PasswordHasher",
    "Priority",
    "UnreadableHash",
    "Verdict",
    "read_hash",
]
