"""The bodies of answers, by subject, and what all of them have in common (`schema`)."""
