"""`python -m gateway check`: what the gateway makes of its route files, and of one request.

The request is judged by the very code that serves: only its last step, the upstream, is left out,
and whose access token it is, is believed.
"""
