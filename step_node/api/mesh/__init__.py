"""What maps ask for: the routes under `/mesh`."""
