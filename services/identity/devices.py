"""Known devices: a token that says "this browser has logged in to this account before" (D6).

Signed, not stored: `gh_dt_` + base64url(version, device, user, epoch, day of issue, MAC). It is
void as soon as the account's credentials epoch moves on.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from chassis.clock import Clock
from chassis.crypto import b64decode, b64encode, derive

DEVICE_LIFE = timedelta(days=180)

_PREFIX = "gh_dt_"
_PAYLOAD = struct.Struct(">B16s16sII")
_VERSION = 1
_MAC_BYTES = 32
_LENGTH = len(_PREFIX) + len(b64encode(bytes(_PAYLOAD.size + _MAC_BYTES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What an authentic device token says."""

    id: UUID
    user_id: UUID
    credentials_epoch: int


class DeviceTokens:
    """Makes and reads device tokens, under keys derived from *keys* (the first signs)."""

    def __init__(self, keys: Sequence[bytes], clock: Clock) -> None:
        self._keys = tuple(derive(key, "identity device token") for key in keys)
        self._clock = clock

    def issue(self, user_id: UUID, credentials_epoch: int, *, device: UUID | None = None) -> str:
        """Return a token for *device* (a new one if None) of *user_id*."""
        payload = _PAYLOAD.pack(
            _VERSION,
            (device or uuid4()).bytes,
            user_id.bytes,
            credentials_epoch,
            _day_of(self._clock.now()),
        )
        return _PREFIX + b64encode(payload + _mac(self._keys[0], payload))

    def read(self, token: str | None) -> Device | None:
        """Return what *token* says, or None when it is not one of ours or too old."""
        if token is None or len(token) != _LENGTH or not token.startswith(_PREFIX):
            return None
        try:
            raw = b64decode(token.removeprefix(_PREFIX))
        except ValueError:
            return None
        payload, mac = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if not any(hmac.compare_digest(_mac(key, payload), mac) for key in self._keys):
            return None
        version, device, user, epoch, day = _PAYLOAD.unpack(payload)
        age = timedelta(days=_day_of(self._clock.now()) - day)
        if version != _VERSION or age > DEVICE_LIFE:
            return None
        return Device(id=UUID(bytes=device), user_id=UUID(bytes=user), credentials_epoch=epoch)


def _day_of(moment: datetime) -> int:
    return int(moment.timestamp()) // 86400


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, hashlib.sha256)
