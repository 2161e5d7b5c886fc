"""Under which user PostgreSQL runs: it refuses root, and we make no system user for it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chassis.postgres.binaries import Installation, PostgresError


@dataclass(frozen=True)
class Identity:
    """How to start PostgreSQL: a command prefix, and the user id that must own its data."""

    prefix: tuple[str, ...]
    uid: int


def identities() -> Iterator[Identity]:
    """Yield the ways this process may start PostgreSQL, best first."""
    if os.geteuid() != 0:
        yield Identity(prefix=(), uid=os.geteuid())
        return
    nobody = _nobody()
    # A user namespace in which root is called `nobody`: the files stay root's, nothing is chowned.
    yield Identity(
        prefix=(
            "unshare",
            "--user",
            f"--map-user={nobody.pw_uid}",
            f"--map-group={nobody.pw_gid}",
        ),
        uid=0,
    )
    # Where namespaces are refused (containers): the real `nobody`, with the one capability that
    # lets it walk through folders only root may enter. A change of user clears the signal at our
    # death, so setpriv asks for it again, after the change.
    yield Identity(
        prefix=(
            "setpriv",
            f"--reuid={nobody.pw_uid}",
            f"--regid={nobody.pw_gid}",
            "--clear-groups",
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            "--pdeathsig=INT",
        ),
        uid=nobody.pw_uid,
    )


def choose_identity(installation: Installation) -> Identity:
    """Return the first way that works here. Raises PostgresError."""
    for identity in identities():
        if _works(identity, installation):
            return identity
    raise PostgresError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv (util-linux) may change"
        " the user here: start as an ordinary user"
    )


def take_ownership(data: Path, identity: Identity) -> None:
    """Make *data* belong to the user PostgreSQL runs under. Raises PostgresError."""
    owner = data.stat().st_uid
    if owner == identity.uid:
        return
    if os.geteuid() != 0 or owner not in {0, _nobody().pw_uid}:
        raise PostgresError(
            f"{data} belongs to user {owner}: run as that user, or choose another folder"
        )
    for path in (data, *data.rglob("*")):
        os.chown(path, identity.uid, -1, follow_symlinks=False)


def _works(identity: Identity, installation: Installation) -> bool:
    if not identity.prefix:
        return True
    if shutil.which(identity.prefix[0]) is None:
        return False
    command = [*identity.prefix, installation.program("postgres"), "--version"]
    answer = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, timeout=10, check=False
    )
    return answer.returncode == 0


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError(
            "PostgreSQL does not run as root and there is no user nobody: start as an ordinary user"
        ) from None
