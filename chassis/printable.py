"""Text of strangers, made harmless for log lines, terminals and text columns."""

_REPLACEMENT = "\ufffd"


def printable(text: str, *, length: int) -> str:
    """Return the first *length* characters of *text*, each unprintable one replaced by U+FFFD.

    NUL, line breaks, escape sequences and lone surrogates are gone afterwards.
    """
    cut = text[:length]
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else _REPLACEMENT for c in cut)
