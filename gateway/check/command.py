"""`python -m gateway check [METHOD PATH]`: the command line."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chassis.logs import configure
from chassis.metrics import Metrics
from chassis.settings import load
from chassis.terminal import command_parser
from gateway.address import parse_address
from gateway.check.rehearsal import Asked, rehearse
from gateway.check.report import assumptions, explanation, lay_out, summary
from gateway.check.settings import CheckSettings
from gateway.routing.source import RoutesInvalid
from gateway.routing.wiring import site_of

_EXAMPLES = """examples:
  python -m gateway check                                     whether the route files hold
  python -m gateway check --file shop.toml                    the same for a file not yet in use
  python -m gateway check GET /shop/items/7                   what becomes of a stranger's request
  python -m gateway check GET /shop/items/7 --as user         ... of a user's
  python -m gateway check DELETE /shop/items/7 --as user,admin --scope "items.write"
  python -m gateway check POST /shop/cart --browser --header "Origin: https://auth.example.com"
  python -m gateway check POST /api/v1/auth/login --from 10.0.0.9 \\
      --header "X-Forwarded-For: 203.0.113.7" --header "Content-Length: 80000"

The settings come from the environment as they do for the service (ROUTES_FILE, TRUSTED_PROXIES,
RATE_LIMIT_*, ...), which needs no secret here; those that upstreams name (assertion_secrets_file)
are read. Blocked addresses, used up allowances and ended sessions are the running gateway's
knowledge and not looked at.
Exit codes: 0 it holds, or the request would be served; 1 the route files do not hold; 2 the command
was not understood; 3 the request would be refused; 78 the settings do not hold.
"""
_CLIENT_ERROR = 400


def check(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for and return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    asked = _asked(parser, given)
    changes: dict[str, Any] = {"routes_file": given.file} if given.file else {}
    settings = load(CheckSettings, **changes)
    configure(level="error", style="console")
    try:
        site = site_of(settings, Metrics())
    except RoutesInvalid as error:
        sys.stderr.writelines(f"{line}\n" for line in error.lines)
        return 1
    table = site.routes.table
    if asked is None:
        _say(lay_out([*assumptions(settings), *summary(settings, table)]))
        return 0
    findings = asyncio.run(rehearse(asked, settings, site))
    _say(lay_out([*assumptions(settings), *explanation(asked, findings, settings, table)]))
    return 3 if findings.status >= _CLIENT_ERROR else 0


def _asked(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Asked | None:
    """Return the request that is asked about; ends with code 2 when it is none."""
    if given.method is None:
        return None
    if given.target is None:
        parser.error("a request is METHOD and PATH")
    if not given.target.startswith("/"):
        parser.error("PATH begins with a slash")
    if parse_address(given.peer) is None:
        parser.error(f"--from {given.peer}: not an address")
    headers = [_header(parser, text) for text in given.header]
    if any(_is_proof(name, value) for name, value in headers):
        parser.error("a token cannot be verified here: say with --as (and --browser) whose it is")
    return Asked(
        method=given.method,
        target=given.target,
        headers=headers,
        peer=given.peer,
        roles=_roles(given.user) if given.user or given.scope or given.browser else None,
        scope=given.scope,
        in_browser=given.browser,
    )


def _header(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        parser.error(f'--header {text!r}: write it as "Name: value"')
    return name.strip(), value.strip()


def _is_proof(name: str, value: str) -> bool:
    """Say whether a header holds what only the running gateway can verify."""
    return name.lower() == "authorization" or (name.lower() == "cookie" and "gatehouse-" in value)


def _roles(text: str | None) -> frozenset[str]:
    return frozenset(filter(None, (role.strip() for role in (text or "user").split(","))))


def _say(text: str) -> None:
    sys.stdout.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "python -m gateway check",
        "Check the route files, or explain what the gateway does with one request.",
        _EXAMPLES,
    )
    parser.add_argument("method", nargs="?", metavar="METHOD", help="such as GET")
    parser.add_argument("target", nargs="?", metavar="PATH", help="with its query, as on the wire")
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="a route file in place of ROUTES_FILE"
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar='"NAME: VALUE"',
        help="a header of the request; may be repeated",
    )
    parser.add_argument(
        "--from",
        dest="peer",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the TCP peer (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--as",
        dest="user",
        metavar="ROLE[,ROLE]",
        help="somebody logged in with these roles (user: an ordinary one); default: nobody",
    )
    parser.add_argument(
        "--scope", default="", metavar="SCOPES", help="the scopes of the access token"
    )
    parser.add_argument(
        "--browser",
        action="store_true",
        help="logged in by cookies, from a page that sends the CSRF token; the page's Origin is "
        "yours to give",
    )
    return parser
