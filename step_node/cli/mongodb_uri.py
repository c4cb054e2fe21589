"""The check of --mongodb-uri, before anything is written or started with it."""

from __future__ import annotations

import typer


def check_mongodb_uri(uri: str) -> None:
    """Raise BadParameter unless `uri` has the form of a MongoDB URI. Whether anybody answers there is seen later."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    if uri.startswith("mongodb+srv://"):
        return  # Only the name service knows what it stands for.
    try:
        parse_uri(uri)
    except (PyMongoError, ValueError) as error:
        # The URI itself may hold a password, and is not repeated.
        raise typer.BadParameter(
            f"must be a MongoDB URI such as mongodb://127.0.0.1:27017/?replicaSet=rs0: {error}",
            param_hint="--mongodb-uri",
        ) from error
