"""Login: identity vouches, one transaction makes the session (D9, D24)."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.internal import AuthenticateResponse
from contracts.token import SessionStarted
from services.token.domain.grants import Grant
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Lifetimes, Session, device_name, surplus
from services.token.domain.subjects import Subject
from services.token.errors import InvalidCredentials, SigningKeyMissing
from services.token.identity_client import IdentityClient, snapshot_of
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.sessions import list_running
from services.token.repository.starts import Start, start_at_once, start_session
from services.token.repository.subjects import lock_subject
from services.token.service.endings import Endings
from services.token.service.issuing import Issued, Issuing


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The tokens of a new session, and the token by which identity knows the device again."""

    issued: Issued
    device_token: str | None = field(repr=False)


class Login:
    """Logs users in; *max_sessions* is how many each may have, 0 for any number."""

    def __init__(
        self,
        *,
        identity: IdentityClient,
        database: Database,
        outbox: Outbox,
        endings: Endings,
        issuing: Issuing,
        clock: Clock,
        max_sessions: int,
    ) -> None:
        self._identity = identity
        self._database = database
        self._outbox = outbox
        self._endings = endings
        self._issuing = issuing
        self._clock = clock
        self._max_sessions = max_sessions

    @property
    def _lifetimes(self) -> Lifetimes:
        return self._issuing.lifetimes

    async def login(
        self, username: str, password: str, device_token: str | None, *, caller: Caller
    ) -> LoggedIn:
        """Start a session for who *username* (or e-mail) and *password* prove to be.

        Raises identity's refusal, InvalidCredentials when the password was reset meanwhile,
        DependencyUnavailable, SigningKeyMissing; the last also when everybody was logged out
        meanwhile.
        """
        issuer = self._issuing.issuer
        answer = await self._identity.authenticate(username, password, device_token, caller=caller)
        now = self._clock.now()
        secret = RefreshSecret.new()
        start = self._start(answer, secret, caller, now, epoch=issuer.epoch)
        if not await self._start_at_once(start):
            start = await self._start_in_turn(start, answer, caller)
        issued = self._issuing.issue(
            Grant.of(start.session, start.subject),
            secret,
            issuer=issuer,
            refresh_expires_at=start.session.expires_at,
            now=now,
        )
        return LoggedIn(issued, answer.device_token)

    def _session(
        self, answer: AuthenticateResponse, caller: Caller, now: datetime, *, epoch: int
    ) -> Session:
        absolute_end = now + self._lifetimes.absolute
        return Session(
            id=uuid7(self._clock),
            user_id=answer.user_id,
            subject_version=answer.version,
            amr=answer.amr,
            scope="",
            # Identity's clock may be ahead of ours, but nobody authenticates in the future.
            authenticated_at=min(answer.authenticated_at, now),
            created_at=now,
            last_used_at=now,
            expires_at=self._lifetimes.idle_end(now, absolute_end),
            absolute_expires_at=absolute_end,
            device=device_name(caller.user_agent),
            client_address=caller.client_address,
            user_agent=caller.user_agent,
            epoch=epoch,
        )

    async def _start_at_once(self, start: Start) -> bool:
        """Start in the usual case: one statement, no transaction around it; say whether it was.

        It is not, and nothing is done, when sessions must end first, when the subject is new or
        what is known of it newer than identity's answer, and when nobody is admitted.
        """
        if not start.subject.permits(start.session.subject_version):
            return False
        async with self._database.statements() as each:
            if not await start_at_once(each, start, max_sessions=self._max_sessions):
                return False
        self._outbox.written.set()
        return True

    async def _start_in_turn(
        self, start: Start, answer: AuthenticateResponse, caller: Caller
    ) -> Start:
        """Lock the subject and compare; an answer from before a reset admits nobody (D24)."""
        session = start.session
        async with self._database.transaction() as tx:
            known = await lock_subject(tx, answer.user_id)
            subject = known.confirmed(snapshot_of(answer), now=session.created_at)
            if not subject.permits(answer.version):
                raise InvalidCredentials
            await self._make_room(tx, session, caller)
            start = replace(start, subject=subject)
            if not await start_session(tx, start):
                raise SigningKeyMissing(retry_after=1)  # this process signs with one revoked
            tx.after_commit(self._outbox.written.set)
        return start

    async def _make_room(self, tx: Transaction, session: Session, caller: Caller) -> None:
        if not self._max_sessions:
            return
        now, actor = session.created_at, str(session.user_id)
        running = await list_running(tx, session.user_id)
        over = [s for s in running if not s.is_live(now)]
        await self._endings.end(tx, over, reason="expired", now=now, caller=None)
        live = [s for s in running if s.is_live(now)]
        replaced = surplus(live, limit=self._max_sessions)
        await self._endings.end(
            tx, replaced, reason="replaced", now=now, caller=caller, actor=actor
        )

    def _start(
        self,
        answer: AuthenticateResponse,
        secret: RefreshSecret,
        caller: Caller,
        now: datetime,
        *,
        epoch: int,
    ) -> Start:
        """Return the start of a session for whom nothing newer than *answer* is known of."""
        session = self._session(answer, caller, now, epoch=epoch)
        first = RefreshToken(
            hash=secret.hash, session_id=session.id, generation=1, expires_at=session.expires_at
        )
        fact = SessionStarted(user_id=session.user_id, session_id=session.id, amr=session.amr)
        user = str(session.user_id)
        announcement = self._outbox.row(fact, subject=user, caller=caller, actor=user)
        subject = Subject.of(snapshot_of(answer), now=now)
        return Start(subject, session, first, announcement)
