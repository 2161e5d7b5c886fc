"""What makes an archive unfit, or not yet possible."""


class DamagedError(Exception):
    """An object or a manifest is not what was signed; the message says what and where."""


class PostponedError(Exception):
    """The partition cannot be archived yet; the message is the stable reason."""
