"""What waits to be published: two queues, so that what is urgent never waits for what is not.

Theory of operation. A publisher waits while its queue is full. What is urgent is handed to the gossip as it comes. The
rest is paced, within the share that others give to this node (beyond it they would take it for a flooder), and while
a peer's send queue is long, so that a burst arrives late instead of being lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from p2p.libp2p_gossip import Gossip
from p2p.limits import OWN_BULK_RATE, OWN_MEMBER_BULK_RATE, Share
from p2p.pacing import Pacing

PUBLISH_QUEUE_MESSAGES: Final = 64
"""Publications that wait to be sent; beyond it `publish` waits."""
PUBLISH_BUSY_MESSAGES: Final = 256
"""A peer with more than this waiting for it makes the publisher wait, as `p2p.pacing` bounds it."""


class Publications:
    """What this node publishes. `close` ends it: nothing more is taken, and what waits is dropped."""

    def __init__(self) -> None:
        self._urgent_send, self._urgent = trio.open_memory_channel[tuple[str, bytes]](PUBLISH_QUEUE_MESSAGES)
        self._bulk_send, self._bulk = trio.open_memory_channel[tuple[str, bytes]](PUBLISH_QUEUE_MESSAGES)

    async def put(self, topic: str, data: bytes, *, urgent: bool) -> None:
        """Queue a message. Raises trio.BrokenResourceError or trio.ClosedResourceError once it is closed."""
        await (self._urgent_send if urgent else self._bulk_send).send((topic, data))

    def close(self) -> None:
        """End both queues."""
        self._urgent_send.close()
        self._bulk_send.close()

    async def publish_urgent(self, gossip: Gossip) -> None:
        """Hand on what is urgent until the end."""
        async for topic, data in self._urgent:
            await gossip.publish(topic, data)

    async def publish_bulk(self, gossip: Gossip, is_member: Callable[[], bool]) -> None:
        """Hand on the rest, at a pace: that of those with a reserved place while `is_member` says so."""
        share, share_of_member = (Share(rate, trio.current_time) for rate in (OWN_BULK_RATE, OWN_MEMBER_BULK_RATE))
        pacing = Pacing(
            lambda: {peer_id for peer_id, queue in gossip.peer_queues.items() if len(queue) > PUBLISH_BUSY_MESSAGES}
        )
        async for topic, data in self._bulk:
            await trio.sleep((share_of_member if is_member() else share).wait_after(1, len(data)))
            await pacing.wait()
            await gossip.publish(topic, data)
