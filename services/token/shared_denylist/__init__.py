"""The deny list in Redis, where gateways read it together with their limits (D12)."""

from services.token.shared_denylist.redis import SharedDenyList, SharedDenyListUnavailable

__all__ = ["SharedDenyList", "SharedDenyListUnavailable"]
