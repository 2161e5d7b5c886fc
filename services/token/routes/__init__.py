"""The URLs of token and what answers them."""

from services.token.routes.endpoints import Endpoints, routes

__all__ = ["Endpoints", "routes"]
