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

An upstream may have several addresses (`urls = [...]` instead of `url`), asked in turn, and says
how much it can bear; these are the defaults, times in seconds:

    connect_timeout = 2      read_timeout = 30      longest silence
    max_requests = 200       at once, per bulkhead and gateway process
    max_waiting = 100        more that wait for one of them to end, for at most
    queue_timeout = 1        and then get 503 `upstream_busy`
    breaker_failures = 5     requests without an answer in a row: an address is left alone,
    breaker_ratio = 0.5      or this share of at least 20 within 10 s (502, 503, 504 count),
    breaker_pause = 0.5      until one request after each pause is answered
    health_path = "/healthz" (none) asked of each address; two answers in a row that are not
    health_interval = 5      2xx within the time: no requests go there until one is
    health_timeout = 1

The upstream sees `X-Auth-Subject`, `X-Auth-Roles` and `X-Auth-Session`, and never the token. When
it shares secrets with the gateway, every request and WebSocket handshake carries an assertion by
which it can verify where they come from (docs/assertions.md):

    assertion_secrets_file = "shop.secrets"   (none) beside this file, or anywhere by a whole path

It is of the upstream and not of a route: the secrets are those of one caller and one callee.
"""
