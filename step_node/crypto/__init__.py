"""Ethereum's signatures: Keccak-256, EIP-191 and addresses, over libsecp256k1."""
