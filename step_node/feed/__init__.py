"""What happens on the chain and at this node, as events that somebody may follow."""
