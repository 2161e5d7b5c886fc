"""Judging requests that another proxy serves: `GET /forward-auth`, on a port of its own.

nginx (`auth_request`), Traefik (ForwardAuth) and Envoy (`ext_authz` over HTTP) ask here whether a
request may pass, and learn whose it is. Which rules hold is a route of `ROUTES_FILE` whose upstream
is `forward-auth`; what no route names is refused, and so is whoever is no trusted proxy. `original`
reads what was asked of the proxy, `door` judges it as the edge does.
"""
