"""Mail onto the terminal: for development, never for production."""

from typing import TextIO

from services.notify.transports import Mail


class ConsoleTransport:
    """Prints mails, links with their secrets included, to *stream*."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    async def send(self, mail: Mail) -> None:
        """Print *mail* (see Transport)."""
        self._stream.write(f"--- mail to {mail.recipient}: {mail.subject}\n{mail.text}---\n")
        self._stream.flush()
