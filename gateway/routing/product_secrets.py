"""The secrets a gateway shares with a product, from the file that its upstream names (D13)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from chassis.crypto import parse_keys
from gateway.routing.schema import UpstreamSpec
from gateway.weak_secrets import find_weak

_FIELD = "assertion_secrets_file"


class SecretsUnfit(ValueError):  # noqa: N818 - said of the file
    """The file cannot be read, or holds what is no secret of this pair; the message says which."""


class ProductSecrets:
    """Reads the files of all upstreams; *others* are the platform's own secrets, by setting.

    A secret two parties hold proves nothing to either: so each is for one upstream alone.
    """

    def __init__(self, others: Mapping[str, Sequence[bytes]]) -> None:
        self._taken = dict(others)

    def read(self, spec: UpstreamSpec, folder: Path) -> tuple[bytes, ...]:
        """Return the secrets of *spec*, the first to sign with; none when it names no file.

        A relative path starts from *folder*, where the route file is. Raises SecretsUnfit.
        """
        if spec.assertion_secrets_file is None:
            return ()
        path = folder / spec.assertion_secrets_file
        keys = _keys_at(path)
        complaints = list(find_weak({f"{_FIELD}: {path}": keys}, besides=self._taken))
        if complaints:
            raise SecretsUnfit("; ".join(complaints))
        self._taken[f"upstream {spec.name}"] = keys
        return keys


def _keys_at(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsUnfit(f"{_FIELD}: {path}: cannot be read ({type(error).__name__})") from None
    try:
        return parse_keys(text)
    except ValueError as error:
        raise SecretsUnfit(f"{_FIELD}: {path}: {error}") from None
