"""An API that is being served, for whoever may change its bounds meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from step_node.api.middleware.cors import Cors
from step_node.api.server.connection import Service
from step_node.api.server.limits import CONNECTION_COST_MS, HANDSHAKE_COST_MS, ApiLimits
from step_node.api.server.tls import Tls
from step_node.metrics import NodeMetrics


@dataclass(frozen=True, slots=True)
class ServedApi:
    """One server. To be used from the event loop."""

    service: Service
    metrics: NodeMetrics | None

    def change(self, limits: ApiLimits, cors: Cors, tls: Tls | None) -> None:
        """Hold from the next request on, and `tls` from the next connection. The number of connections stays."""
        visitors = self.service.visitors
        visitors.limits = replace(limits, connections_max=visitors.limits.connections_max)
        visitors.connection_cost_ms = connection_cost_ms(tls)
        self.service.quotas.limit = limits.submissions_per_minute
        self.service.cors, self.service.tls = cors, tls
        if tls is not None and self.metrics is not None:
            self.metrics.show_tls_expiry(tls.expires_at_ms / 1000)


def connection_cost_ms(tls: Tls | None) -> float:
    """What a connection costs before its first request."""
    return CONNECTION_COST_MS if tls is None else CONNECTION_COST_MS + HANDSHAKE_COST_MS
