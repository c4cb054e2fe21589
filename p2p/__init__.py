"""py-libp2p behind one small interface: gossip, streams, discovery, penalties. Moves bytes, knows no meaning."""

from __future__ import annotations

from multiaddr.resolvers import dns as multiaddr_dns


def _ask_nobody(self: multiaddr_dns.DNSResolver) -> None:
    self._resolver = multiaddr_dns.dns.asyncresolver.Resolver(configure=False)


# py-libp2p makes a DNS resolver when it is imported, and another with each host. They read /etc/resolv.conf, and on a
# machine that has no name server not even a home could be made. Names are the operating system's affair here
# (`p2p.addresses`) and nothing is ever asked of these resolvers, so they are made without reading anything. This has to
# come before the first import of py-libp2p, hence here.
multiaddr_dns.DNSResolver.__init__ = _ask_nobody
