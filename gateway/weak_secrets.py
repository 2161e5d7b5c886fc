"""Secrets that are long enough and yet none: written by hand, or the same in two places."""

from collections.abc import Iterator, Mapping, Sequence

# 32 random bytes have fewer than 16 different ones once in 10^16 times.
_FEWEST_DIFFERENT_BYTES = 16


def find_weak(
    secrets: Mapping[str, Sequence[bytes]], *, besides: Mapping[str, Sequence[bytes]] | None = None
) -> Iterator[str]:
    """Yield a complaint for each setting whose keys repeat themselves or those of another.

    Those *besides* are others', and not complained about.
    """
    used = {key: name for name, keys in (besides or {}).items() for key in keys}
    for name, keys in secrets.items():
        if any(len(set(key)) < _FEWEST_DIFFERENT_BYTES for key in keys):
            yield f"{name}: a key was not made at random"
        shared = {used[key] for key in keys if key in used}
        if shared:
            yield f"{name}: shares a key with {', '.join(sorted(shared))}"
        used |= dict.fromkeys(keys, name)
