"""py-libp2p behind one small interface: gossip, streams, discovery, penalties. Moves bytes, knows no meaning."""
