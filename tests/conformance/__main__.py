"""Write `tests/vectors/encodings.json` anew; see the module `encodings`."""

from __future__ import annotations

import argparse

from tests.conformance.encodings import encodings
from tests.conformance.vectors import write


def main() -> None:
    """What has changed for others needs `--breaking`, the name of the changelog's fragment that tells them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--breaking", help="changelog.d/<this>.breaking.md tells of what has changed")
    changed = write(encodings(), parser.parse_args().breaking)
    print("written; changed for others: " + (", ".join(changed) or "nothing"))  # noqa: T201


if __name__ == "__main__":
    main()
