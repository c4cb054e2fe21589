"""The command line, `step-node`: a thin layer that turns options into calls, and errors into one clear line."""
