"""Routes are data: `routes.toml` of this package, and a file of the operator's beside it.

An operator puts an own service behind the gateway by naming a file in `ROUTES_FILE`:

    [[upstream]]
    name = "orders"
    url = "http://orders:8080"

    [[route]]
    path = "/api/v1/orders/{rest...}"
    methods = ["GET", "POST"]
    upstream = "orders"
    access = "user"
    limits = ["600/minute"]

The upstream sees `X-Auth-Subject`, `X-Auth-Roles` and `X-Auth-Session`, and never the token.
"""
