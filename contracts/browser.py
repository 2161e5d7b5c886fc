"""How gateway and token speak of cookies, which only the gateway sees (D14).

Towards token these headers say what the caller's cookies held; on the way back they carry what
becomes cookies. The gateway writes the former itself, never passes a client's copy on, and lets
none of the latter out.
"""

MODE_HEADER = "gatehouse-mode"
BROWSER_MODE = "browser"
DEVICE_HEADER = "gatehouse-device"
ACCESS_TOKEN_HEADER = "gatehouse-access-token"
REFRESH_TOKEN_HEADER = "gatehouse-refresh-token"
SESSION_HEADER = "gatehouse-session"
"""In an answer: the id of the session that was begun or renewed, or SESSION_OVER."""
SESSION_OVER = "over"
"""The cookies of the session are of no more use."""
