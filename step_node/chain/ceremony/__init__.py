"""How operators who do not trust one another make one genesis (docs/genesis.md)."""
