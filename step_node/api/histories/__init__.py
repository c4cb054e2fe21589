"""Pages of a history, their cursors, and a whole history as a table."""
