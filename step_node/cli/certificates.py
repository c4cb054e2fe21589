"""Whose certificate a command believes when it asks a node over TLS, and what it says of one that it does not."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from step_node.cli.error_lines import CommandError

_PEM_BYTES_MAX: Final = 65_536
_PEM_END: Final = "-----END CERTIFICATE-----"


def trust_of_this_machine() -> ssl.SSLContext:
    """The authorities of this machine, or those in the file that SSL_CERT_FILE names, as of a devnet."""
    return ssl.create_default_context()


def trust_in(certificates: Iterable[Path]) -> ssl.SSLContext:
    """Those servers alone whose own certificate is the first of one of these files, in PEM.

    Under what name they are asked does not matter: nobody else has the key. Of those between a server and its
    authority none is believed, since they vouch for others as well. Raises CommandError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for path in certificates:
        try:
            with path.open(encoding="ascii") as file:
                text = file.read(_PEM_BYTES_MAX)
            context.load_verify_locations(cadata=text[: text.index(_PEM_END) + len(_PEM_END)] + "\n")
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: must be a certificate in PEM ({error})") from error
    return context


def distrust(error: BaseException) -> str | None:
    """What to do, if a certificate that is not believed is what is behind this error; else None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    return (
        f"its certificate is not trusted ({cause.verify_message}); ask by a name that it has, and let SSL_CERT_FILE"
        " name a file with it or with its authority"
    )
