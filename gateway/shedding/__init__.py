"""What a gateway does that has more work than time: it refuses some, so that the rest is served.

`lag` measures how late the event loop is, `shedding` decides who is refused, and until when.
"""
