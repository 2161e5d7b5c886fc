"""The rules of notify: what becomes of a mail, and what may stand in it."""
