"""What an operator can do to signing keys by hand: `python -m services.token keys --help`."""

import argparse
import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.clock import SystemClock
from chassis.crypto import key_id
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import configure
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.printable import printable
from chassis.settings import load
from chassis.terminal import command_parser, complain, say
from services.token import models
from services.token.app import KeyTiming, signing_keys
from services.token.domain.keys import MAX_REASON, KeyLife
from services.token.errors import SigningKeyMissing, SigningKeyNotFound
from services.token.service.global_revoking import GlobalRevoking
from services.token.service.key_operations import Author, KeyOperations, Overview
from services.token.settings import TokenSettings

_EXAMPLES = """examples:
  python -m services.token keys list
      the keys, when the next one signs, and which encryption keys are still needed
  python -m services.token keys rotate
      publish a successor now; it signs as soon as everybody who caches the JWKS knows it
  python -m services.token keys revoke KID --reason "laptop with a dump was stolen"
      emergency: nothing KID has signed is accepted any more, another key signs at once
  python -m services.token keys revoke-all --reason "break-in"
      emergency: every key that has signed is revoked, and every session ends: all log in anew

It takes the settings of the service (DATABASE_URL, SIGNING_KEY_ENCRYPTION_KEYS, …), which goes on
running and follows within a second. Exit codes: 0 done, 1 not done, 78 the settings are not
complete.
"""

_DASHED_KID = re.compile(r"-[A-Za-z0-9_-]{42}")
_AUTHOR = Author(actor="operator")


@dataclass(frozen=True, slots=True)
class _Work:
    operations: KeyOperations
    revoking: GlobalRevoking
    encryption_keys: tuple[str, ...]


_Action = Callable[[_Work, argparse.Namespace], Awaitable[int]]


def keys(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for and return the exit code."""
    asked = _parser().parse_args(_kids_last(arguments))
    settings = load(TokenSettings)
    configure(level="error", style="console")
    return asyncio.run(_perform(settings, asked))


async def _perform(settings: TokenSettings, asked: argparse.Namespace) -> int:
    database = Database(settings.database_url.get_secret_value(), pool_min=1, pool_max=1)
    stored = signing_keys(
        settings,
        database=database,
        outbox=Outbox("token", models.outbox, SystemClock()),
        timing=KeyTiming(),
    )
    named = tuple(key_id(key) for key in settings.signing_key_encryption_keys)
    action: _Action = asked.action
    try:
        revoking = GlobalRevoking(keys=stored, metrics=Metrics())
        return await action(_Work(KeyOperations(stored), revoking, named), asked)
    except (DatabaseUnavailable, SigningKeyMissing, SigningKeyNotFound) as error:
        return complain(str(error))
    finally:
        await database.close()


async def _list(work: _Work, _asked: argparse.Namespace) -> int:
    overview = await work.operations.overview()
    for life in overview.found.lives:
        say(_line(life, overview))
    for revoked in overview.revoked:
        say(
            f"{revoked.kid}  {revoked.algorithm}  revoked    {_at(revoked.revoked_at)}"
            f"  {printable(revoked.reason, length=MAX_REASON)}"
        )
    say(f"next rotation: {_at(overview.hands_over_at)}")
    under = [key.sealed_under for key in overview.found.keys if key.sealed_under]
    for name in dict.fromkeys((*work.encryption_keys, *under)):
        known = "" if name in work.encryption_keys else ", and is not among those given"
        say(f"encryption key {name} holds {under.count(name)} private keys{known}")
    return 0


async def _rotate(work: _Work, _asked: argparse.Namespace) -> int:
    wanted = await work.operations.rotate(_AUTHOR)
    say(f"{wanted.successor_kid} signs instead of {wanted.kid} from {_at(wanted.signs_at)} on")
    return 0


async def _revoke(work: _Work, asked: argparse.Namespace) -> int:
    revoked = await work.operations.revoke(asked.kid, asked.reason, _AUTHOR)
    say(f"{revoked.kid} is revoked since {_at(revoked.revoked_at)}")
    if revoked.successor:
        say(f"{revoked.successor} signs instead of it")
    return 0


async def _revoke_all(work: _Work, asked: argparse.Namespace) -> int:
    revoked = await work.revoking.revoke(asked.reason, _AUTHOR)
    say(f"nobody is logged in since {_at(revoked.revocation.revoked_at)}")
    for key in revoked.keys:
        say(f"{key.kid} is revoked")
    return 0


def _line(life: KeyLife, overview: Overview) -> str:
    told = {
        "published": f"published {_at(life.published_at)}",
        "active": f"signs since {_at(life.activated_at)}",
        "retired": f"leaves the JWKS {_at(overview.leaves_at(life))}",
    }
    return f"{life.kid}  {life.algorithm}  {life.state:9}  {told[life.state]}"


def _at(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _kids_last(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* so that a kid which begins with `-` is not taken for an option."""
    kids = [text for text in arguments if _DASHED_KID.fullmatch(text)]
    return [text for text in arguments if text not in kids] + (["--", *kids] if kids else [])


def _reason(text: str) -> str:
    if not text.strip() or len(text) > MAX_REASON or not text.isprintable():
        raise argparse.ArgumentTypeError(f"wanted: 1 to {MAX_REASON} printable characters")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m services.token keys", __doc__, _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar="list|rotate|revoke|revoke-all")
    for name, action, text in (
        ("list", _list, "show the keys and the encryption keys that hold them"),
        ("rotate", _rotate, "replace the active key in stages"),
        ("revoke", _revoke, "take a key away at once"),
        ("revoke-all", _revoke_all, "log everybody out at once"),
    ):
        one = actions.add_parser(name, help=text, description=text)
        one.set_defaults(action=action)
        if name == "revoke":
            one.add_argument("kid", metavar="KID", help="as `list` names it")
        if action in (_revoke, _revoke_all):
            one.add_argument("--reason", required=True, type=_reason, help="for the audit log")
    return parser
