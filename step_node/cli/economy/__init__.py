"""The commands of `step-node economy`, a file for each, with what they ask; `cli.economy_commands` gathers them."""
