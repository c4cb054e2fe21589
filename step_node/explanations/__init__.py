"""Why something was refused, for programs: the one table of codes, and the closed vocabulary of details. Pure."""
