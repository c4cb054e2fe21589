"""What is checked after every batch, by figures that nothing of the ledger's code has a part in."""
