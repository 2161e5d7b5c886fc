"""Audit: what happened on this platform, kept so that nobody can quietly change it.

Owns: the audit log (one row per event, written once), the personal data beside it with the salts
of its commitments, the register of the log's partitions and archives, the IP blocks, the alerts
with the evidence they are raised from, and hourly counts.
Publishes: audit.ip.blocked and .unblocked, suspicious_activity.detected, alert.acknowledged and
.closed, archive.completed; contracts.audit names what will come.
Consumes: everything on `auth.events`.
Never: changes or deletes a row of the log. Personal data goes when its person is deleted; the rows
and their commitments stay.
"""
