"""Limits: how often somebody may do something, counted exactly and decided at once.

The algorithm is GCRA: per key one number, the *theoretical arrival time*, tells how far the
allowance is used up; it refills continuously, so no window boundary can be exploited.
"""
