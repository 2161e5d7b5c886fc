"""What an operator does for confidential clients: `python -m services.token clients --help`."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from chassis.terminal import command_parser, complain, say
from services.token.domain.clients import ClientSecret, SecretDigest
from services.token.oauth_clients import CLIENT_ID, ClientsInvalid, load_clients

_EXAMPLES = """examples:
  python -m services.token clients new "Orders API" >> clients.toml   a client that may introspect
  python -m services.token clients new Helpdesk --revoke --introspect none
  python -m services.token clients secret                             another secret for a client
  python -m services.token clients check clients.toml                 whether token would take it

What belongs into the file goes to standard output; the secret goes to standard error, once, and is
stored nowhere. The file is named by OAUTH_CLIENTS_FILE and read when token starts: restart it after
a change. To replace a secret without an outage: append the new digest to the client's `secrets`,
restart, give the client its new secret, take the old digest away, restart.
Exit codes: 0 done, 1 the file does not hold, 2 the command was not understood.
"""
_BLOCK = """
[[client]]
client_id = {client_id}
name = {name}
secrets = [{digest}]
audiences = {audiences}
introspect = {introspect}
revoke = {revoke}
"""
_KINDS = {"none": [], "access": ["access_token"], "all": ["access_token", "refresh_token"]}

_Action = Callable[[argparse.Namespace], int]


def clients(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for and return the exit code."""
    asked = _parser().parse_args(arguments)
    action: _Action = asked.action
    return action(asked)


def _new(asked: argparse.Namespace) -> int:
    client_id = asked.id or re.sub(r"[^a-z0-9]+", "-", asked.name.lower()).strip("-")[:64]
    if not re.fullmatch(CLIENT_ID, client_id):
        return complain(f"{client_id!r} cannot be a client_id: give one with --id, such as orders")
    if not asked.name.isprintable() or not 0 < len(asked.name) <= 128:  # noqa: PLR2004 - the file's
        return complain("a name is printable and has at most 128 characters")
    introspect = _KINDS[asked.introspect]
    if not introspect and not asked.revoke:
        return complain("it may do nothing: add --revoke, or let it introspect")
    digest = _make_secret(client_id)
    block = _BLOCK.format(
        client_id=_toml(client_id),
        name=_toml(asked.name),
        digest=_toml(str(digest)),
        audiences=_toml(asked.audience or ["gatehouse"]),
        introspect=_toml(introspect),
        revoke=_toml(asked.revoke),
    )
    sys.stdout.write(block)
    return 0


def _secret(_asked: argparse.Namespace) -> int:
    say(_toml(str(_make_secret(None))))
    return 0


def _check(asked: argparse.Namespace) -> int:
    try:
        known = load_clients(asked.file)
    except ClientsInvalid as error:
        return complain("\n".join(error.lines))
    for client in known.values():
        rights = [*sorted(client.introspects), *(["revoke"] if client.revokes else [])]
        secrets = f"{len(client.digests)} secret{'s' if len(client.digests) > 1 else ''}"
        say(f"{client.client_id}  {client.name}  {', '.join(rights)}  {secrets}")
    say(f"{len(known)} clients")
    return 0


def _make_secret(client_id: str | None) -> SecretDigest:
    """Show a new secret to whoever asked and to nobody else; return its digest."""
    secret = ClientSecret.new()
    if client_id is not None:
        sys.stderr.write(f"client_id      {client_id}\n")
    sys.stderr.write(f"client_secret  {secret.text}   (shown this once)\n")
    sys.stderr.flush()
    return SecretDigest.of(secret)


def _toml(value: object) -> str:
    """Write a string, a list of them or a boolean: here JSON and TOML are one."""
    return json.dumps(value, ensure_ascii=False)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m services.token clients", __doc__, _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar="new|secret|check")
    new = actions.add_parser("new", help="make a client and its secret")
    new.add_argument("name", metavar="NAME", help="what people call it")
    new.add_argument("--id", help="its client_id; by default made of the name")
    new.add_argument(
        "--introspect",
        choices=tuple(_KINDS),
        default="access",
        help="kinds of token it may ask about (default: access); all: refresh tokens too",
    )
    new.add_argument(
        "--audience", action="append", help="whose tokens; may be repeated (default: gatehouse)"
    )
    new.add_argument("--revoke", action="store_true", help="let it revoke tokens")
    new.set_defaults(action=_new)
    secret = actions.add_parser("secret", help="make another secret for a client")
    secret.set_defaults(action=_secret)
    check = actions.add_parser("check", help="say whether token would take a file")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(action=_check)
    return parser
