"""Notify: everything Gatehouse writes to people.

Owns: the mail ledger (one row per mail and what became of it), the addresses mails go to, the
templates, and the way out (SMTP or SendGrid; in development a local inbox or the console).
Publishes: notify.message.sent, .failed, .suppressed. Never an address, never a text.
Consumes: the commands send_verification_mail and send_password_reset_mail; identity's facts about
accounts; token.refresh_token.reused; audit.suspicious_activity.detected.
Never: decides whether somebody may do something, makes or stores a readable one-time token, or
sends one mail twice (but for a crash or lost answer after the server took it: the same
Message-ID again).
"""
