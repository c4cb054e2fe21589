"""Whether the node is well: what is watched for that, and what is told of it.

Everything that is asked here is at hand, so that `/health` answers at once while a store hangs: what takes time to find
out (the store's answer, how long a height has waited) is watched beside it by tasks that `node.start` runs.
"""
