"""Audit: what happened on this platform, kept so that nobody can quietly change it.

Owns: the audit log (one row per event, written once), the personal data beside it, the register
of its partitions, and the list of blocked addresses.
Publishes: audit.ip.blocked, audit.ip.unblocked.
Consumes: everything on `auth.events`.
Never: changes or deletes a row of the log. Personal data goes when its person is deleted; the rows
and their commitments stay.
"""
