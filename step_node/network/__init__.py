"""What STEP nodes say to one another over `p2p`: greetings, gossip, proofs on request, batches on request (§5)."""
