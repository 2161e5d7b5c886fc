"""Browser mode (D14): cookies instead of an Authorization header, and proof against forgery.

`mode` decides which of the two a request is in and demands the proofs, `origins` asks where it
comes from, `csrf` makes and reads its token, `cookies` knows names and attributes, `answers` turns
what token hands over into cookies, `endpoint` serves the CSRF token.
"""
