"""What may stand in a mail: addresses, names, links, identifiers."""

import re
from unicodedata import category
from urllib.parse import quote
from uuid import UUID

from services.notify.domain.messages import PAGES, Template

_LOCAL_LENGTH = 64
_ADDRESS_LENGTH = 254
_NAME_LENGTH = 64
# RFC 5321 §4.1.2 without quoted local parts: dot-atoms of atext.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What mail programs turn into a link by themselves: a scheme, or a dot between a word and letters.
_LINK_LIKE = re.compile(r"://|@|[^\W_]\.[^\W\d_]{2,}")
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"']+")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class InvalidAddressError(ValueError):
    """The text is not one plain e-mail address (RFC 5321 §4.1.2)."""


def mailbox(text: str) -> str:
    """Return *text* as one address safe for an envelope and a header, its domain in IDNA form.

    Quoted local parts and such beyond ASCII are refused. Raises InvalidAddressError.
    """
    local, at, domain = text.rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidAddressError from None
    address = f"{local}@{ascii_domain}"
    labels = ascii_domain.split(".")
    good = (
        at
        and len(local) <= _LOCAL_LENGTH
        and len(address) <= _ADDRESS_LENGTH
        and _LOCAL_PART.fullmatch(local)
        and all(_LABEL.fullmatch(label) for label in labels)
    )
    if not good:
        raise InvalidAddressError
    return address


def greeted_name(username: str | None) -> str | None:
    """Return the name to greet somebody by, or None to greet without one.

    Whoever registers another's address chooses the name in that mail: nothing that a mail program
    would make a link of, nothing invisible, nothing long.
    """
    if not username or len(username) > _NAME_LENGTH or _LINK_LIKE.search(username):
        return None
    if any(category(character) in _INVISIBLE for character in username):
        return None
    return username


def masked(address: str | None) -> str | None:
    """Return *address* for the eyes of an administrator: first letter and domain."""
    if address is None:
        return None
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}"


def token_link(base_url: str, template: Template, token: str) -> str:
    """Return the link of a mail with a secret: fragments reach no server and no log."""
    return f"{base_url}{PAGES[template]}#token={quote(token, safe='')}"


def links_in(text: str) -> list[str]:
    """Return the web addresses that stand in *text*, each once, in order."""
    return list(dict.fromkeys(_WEB_ADDRESS.findall(text)))


def header_id(message_id: UUID, sender: str) -> str:
    """Return the Message-ID (RFC 5322 §3.6.4) of a mail: the same for every attempt."""
    return f"<{message_id}@{sender.rpartition('@')[2]}>"
