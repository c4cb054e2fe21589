"""People, places and validators made up, over the ledger's own rules: what the rules of money do before they are used.

`scenario` says who there is; `population` where they are when; `decisions` what they do with what they have. What
comes of that is computed by one of two ledgers: `exact`, the shipped code batch by batch, or `vectorised`, arrays that
give the same to the last micro-STEP (docs/adr/0067-simulated-economy.md). `running` is one run, `campaign` many.
"""
