"""Confidential clients prove who they are (RFC 6749 §2.3.1); who fails is counted and told."""

from datetime import timedelta
from ipaddress import IPv6Network, ip_address
from math import ceil

from prometheus_client import Counter

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.logs import get_logger
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from contracts.token import ClientAuthenticationFailed
from services.token.domain.clients import Client, ClientCredentials, ClientSecret, SecretDigest
from services.token.errors import InvalidClient, TooManyAttempts
from services.token.oauth_clients import Clients

FAILURES_PER_MINUTE = 10

_WINDOW = timedelta(minutes=1)
_MAX_SOURCES = 1000
_V6_CLIENT_PREFIX = 64
# Asked where no client has the id, so that it takes as long; its digest is of nothing known.
_NOBODY = Client(
    client_id="",
    name="",
    digests=(SecretDigest(bytes(16), bytes(32)),),
    audiences=frozenset(),
)
log = get_logger(__name__)


class FailureLimit:
    """Counts failures per source (IPv4 address, IPv6 /64) and minute, each process for itself.

    No secret can be guessed in any number of tries: it is the events that are bounded, and the
    table, which takes *sources* at most and no further one within the minute.
    """

    def __init__(self, clock: Clock, *, sources: int = _MAX_SOURCES) -> None:
        self._clock = clock
        self._sources = sources
        self._began_at = clock.now()
        self._failures: dict[str, int] = {}

    def add(self, address: str | None) -> None:
        """Count a failure from *address*. Raises TooManyAttempts beyond the limit."""
        now = self._clock.now()
        if not timedelta() <= now - self._began_at < _WINDOW:
            self._began_at = now
            self._failures.clear()
        source = _source(address)
        count = self._failures.get(source, 0)
        is_new = source not in self._failures
        if count >= FAILURES_PER_MINUTE or (is_new and len(self._failures) >= self._sources):
            left = self._began_at + _WINDOW - now
            raise TooManyAttempts(retry_after=ceil(left.total_seconds()))
        self._failures[source] = count + 1


class ClientAuthentication:
    """Knows the clients of the file."""

    def __init__(
        self,
        *,
        clients: Clients,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._clients = clients
        self._database = database
        self._outbox = outbox
        self._limit = FailureLimit(clock)
        self._failures = Counter(
            "gatehouse_token_client_authentication_failures",
            "Requests of OAuth clients that did not prove which client they come from.",
            ["reason"],
            registry=metrics.registry,
        )

    async def authenticate(
        self, credentials: ClientCredentials | None, *, caller: Caller
    ) -> Client:
        """Return the client that *credentials* are of; None is nobody's.

        A source that fails too often meets TooManyAttempts in place of InvalidClient, until the
        minute is over; the right secret is let in all the same.
        """
        if credentials is None:
            self._failures.labels("no_credentials").inc()
            raise InvalidClient
        client = self._clients.get(credentials.client_id)
        secret = ClientSecret.parse(credentials.secret)
        if secret is not None and (client or _NOBODY).has(secret) and client is not None:
            return client
        await self._tell(client, caller)
        raise InvalidClient

    async def _tell(self, client: Client | None, caller: Caller) -> None:
        """Count and announce a failure; of unknown clients only that there was none."""
        fact = ClientAuthenticationFailed(
            client_id=client.client_id if client else None,
            reason="wrong_secret" if client else "unknown_client",
        )
        self._failures.labels(fact.reason).inc()
        self._limit.add(caller.client_address)
        log.warning("client.authentication_failed", client_id=fact.client_id, reason=fact.reason)
        async with self._database.transaction() as tx:
            subject = fact.client_id or fact.reason
            await self._outbox.emit(tx, fact, subject=subject, caller=caller)


def _source(address: str | None) -> str:
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if parsed.version == 4:  # noqa: PLR2004 - IPv4
        return str(parsed)
    return str(IPv6Network((parsed, _V6_CLIENT_PREFIX), strict=False))
