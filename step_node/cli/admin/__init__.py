"""The commands of `step-node admin`, a file for each subject; `cli.admin_commands` puts them together."""
