"""The four services: people, sessions, mail, evidence.

This file must exist: without it `services/token` shadows the standard library's `token`.
"""
