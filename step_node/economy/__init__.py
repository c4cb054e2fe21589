"""What is computed from final batches and shown, and never decides: the window of proofs, and what is made of it."""
