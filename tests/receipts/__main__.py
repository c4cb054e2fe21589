"""Write `tests/vectors/receipts.json` anew."""

from tests.receipts.vectors import write

if __name__ == "__main__":
    write()
