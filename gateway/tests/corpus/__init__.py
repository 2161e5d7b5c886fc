"""What nobody honest sends, as data: raw bytes and what must come of them.

`framing`, `targets`, `fields`, `lines` and `exchanges` hold the cases, `mutations` makes more of
them, `reading` is a strict reader of HTTP/1.1 that everything is held against, `playing` puts the
bytes on a wire.
"""
