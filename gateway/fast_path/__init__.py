"""Requests that nothing has to be waited for but their upstream, without ASGI (ADR 29).

A head that can be read at a glance is judged as `gateway.edge` judges it, sent on over a kept
connection, and answered, all in the turns of the loop that bring its bytes. Whatever is not so
simple goes the slow path: from the start, or from where it is.
"""
