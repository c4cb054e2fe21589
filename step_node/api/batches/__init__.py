"""What is made of a finalised batch once and kept, for it never changes."""
