"""`step-node signer`: the validator's key, its guard and its history, in a process of their own."""
