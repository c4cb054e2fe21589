"""An address as a QR code for terminals: a phone's camera reads it, and nobody types it."""

from __future__ import annotations

import io


def qr_code(text: str) -> str:
    """`text` as a QR code of half blocks, light on dark, with its quiet zone; some 20 lines for a URL."""
    import segno

    drawn = io.StringIO()
    segno.make(text, micro=False, error="m").terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
