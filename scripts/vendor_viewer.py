"""Fetches the viewer of /docs into step_node/api/viewer: Swagger UI, by version and SHA-256, through `npm pack`.

    python -m scripts.vendor_viewer

For a new version change the two constants below; look through its release notes for what it loads from elsewhere. What
is written is the same wherever it is made, and a test compares it with the hashes that stand beside it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "5.35.0"
SHA256: Final = "1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6"
"""Of the package's archive."""

VIEWER: Final = Path(__file__).parents[1] / "step_node" / "api" / "viewer"

_PACKED: Final = {"swagger-ui-bundle.js": "swagger-ui-bundle.js.gz", "swagger-ui.css": "swagger-ui.css.gz"}
_PLAIN: Final = ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt")
"""What a copy has to keep."""


def main() -> int:
    """Write the files."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["npm", "pack", "--silent", f"swagger-ui-dist@{VERSION}"]
        name = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()
        archive = (Path(directory) / name).read_bytes()
    found = hashlib.sha256(archive).hexdigest()
    if found != SHA256:
        sys.stderr.write(f"swagger-ui-dist {VERSION} has SHA-256 {found}, and not {SHA256}\n")
        return 1
    VIEWER.mkdir(exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for source in (*_PACKED, *_PLAIN):
            member = files.extractfile(f"package/{source}")
            if member is None:
                raise FileNotFoundError(source)
            content = member.read()
            if source in _PACKED:
                (VIEWER / _PACKED[source]).write_bytes(gzip.compress(content, 9, mtime=0))
            else:
                (VIEWER / source).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
