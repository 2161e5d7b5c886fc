"""Users and sessions by the million in token's database, made by statements and not by logins.

Everybody has logged in some time in the past six days. A session's refresh token follows from its
number and the filling's seed: nobody has to remember a million of them.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

_BATCH = 50_000
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

# As they come in use: UUIDs of version 7, whose first twelve digits are milliseconds (RFC 9562).
_PEOPLE = """
CREATE TEMPORARY TABLE people AS
SELECT number, since, (milliseconds || '7' || substr(one, 1, 3) || '8' || substr(one, 4, 15))::uuid
    AS user_id, (milliseconds || '7' || substr(other, 1, 3) || '8' || substr(other, 4, 15))::uuid
    AS session_id
FROM (
    SELECT number, since, md5($4 || 'user' || number) AS one, md5($4 || 'session' || number)
        AS other, lpad(to_hex(floor(extract(epoch FROM since) * 1000)::bigint), 12, '0')
        AS milliseconds
    FROM generate_series($1::int, $2::int) AS number,
        LATERAL (SELECT now() - interval '6 days' * (1 - number / $3::float8) AS since) AS moment
) AS drawn
"""

_SUBJECTS = """
INSERT INTO subjects (user_id, roles, roles_version, status, status_version, sessions_valid_from,
    checked_at)
SELECT user_id, '{user}', 1, 'active', 1, 0, $1 FROM people
"""

_SESSIONS = """
INSERT INTO sessions (id, user_id, subject_version, amr, authenticated_at, created_at, last_used_at,
    expires_at, absolute_expires_at, device, client_address, user_agent)
SELECT session_id, user_id, 1, '{pwd}', since, since, since, since + interval '7 days',
    since + interval '30 days', 'Firefox on Linux', '198.51.100.7', $1
FROM people
"""

_TOKENS = """
INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
SELECT sha256(convert_to('gh_rt_' || rtrim(translate(encode(sha256(convert_to($1 || number,
    'UTF8')), 'base64'), '+/', '-_'), '='), 'UTF8')), session_id, 1, since,
    since + interval '7 days'
FROM people
"""


@dataclass(frozen=True, slots=True)
class Filling:
    """What is put into one database: *number* users, numbered from 0.

    As of *checked_at* identity has confirmed them; None is never.
    """

    number: int
    checked_at: datetime | None = None
    seed: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)

    def refresh_token(self, number: int) -> str:
        """Return the first refresh token of a session."""
        digest = hashlib.sha256(f"{self.seed}{number}".encode()).digest()
        return f"gh_rt_{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    async def subjects(self, connection: asyncpg.Connection) -> None:
        """Add users who have been here, and have no session any more."""
        await self._fill(connection, sessions=False)

    async def sessions(self, connection: asyncpg.Connection) -> None:
        """Add users with one running session each."""
        await self._fill(connection, sessions=True)

    async def _fill(self, connection: asyncpg.Connection, *, sessions: bool) -> None:
        for first in range(0, self.number, _BATCH):
            last = min(first + _BATCH, self.number) - 1
            async with connection.transaction():
                await connection.execute(_PEOPLE, first, last, self.number, self.seed)
                await connection.execute(_SUBJECTS, self.checked_at)
                if sessions:
                    await connection.execute(_SESSIONS, _AGENT)
                    await connection.execute(_TOKENS, self.seed)
                await connection.execute("DROP TABLE people")
            print(f"filling: {last + 1} of {self.number}", flush=True)
        # What a fresh filling leaves to do must not be done in the midst of a round. Empty tables
        # are left alone: one that was analysed is believed to stay empty, and read row by row.
        filled = "subjects, sessions, refresh_tokens" if sessions else "subjects"
        await connection.execute(f"VACUUM (FREEZE, ANALYZE) {filled}")
        await connection.execute("CHECKPOINT")
