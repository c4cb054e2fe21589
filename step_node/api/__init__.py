"""The HTTP API for clients and operators (docs/clients.md): it translates, and decides nothing about proofs."""
