"""The application: its routes, the limit on bodies in front of them, and the one way of errors behind them."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

import step_node
from step_node.api.documentation import DocumentedApi
from step_node.api.errors import install_error_handlers
from step_node.api.mesh.routes_geometry import geometry_routes
from step_node.api.mesh.routes_ledger import ledger_mesh_routes
from step_node.api.middleware.as_of import AsOfHeight
from step_node.api.middleware.body import BodyLimit
from step_node.api.middleware.caching import Caching
from step_node.api.middleware.compression import Compression
from step_node.api.middleware.methods import HeadAndOptions
from step_node.api.routes.events import event_routes
from step_node.api.routes.fairness import fairness_routes
from step_node.api.routes.genesis import genesis_routes
from step_node.api.routes.guardrails import guardrail_routes
from step_node.api.routes.histories import history_routes
from step_node.api.routes.ledger import ledger_routes
from step_node.api.routes.node import metrics_routes, node_routes
from step_node.api.routes.pages import page_routes
from step_node.api.routes.plausibility import plausibility_routes
from step_node.api.routes.proofs import proof_routes
from step_node.api.routes.receipts import receipt_routes
from step_node.api.routes.transactions import transaction_routes
from step_node.api.routes.trending import trending_routes
from step_node.api.routes.upgrade import upgrade_routes
from step_node.api.routes.validators import validator_routes
from step_node.api.routes.web_app import web_app_routes
from step_node.api.routing import add_routes
from step_node.api.services import ApiServices
from step_node.api.submissions.submitting import ShortWay, Submitting

_DESCRIPTION: Final = """
STEP pays people for proving that they are somewhere: a client signs where it is with an Ethereum key, and a network of
validators checks the claim and credits the account.

Every answer but a success is `{ok: false, code, message, details, timestamp}`: `code` and `details` are for programs,
`message` names the field and the rule. Amounts are decimal strings of STEP with six places. Answers to a GET have a
header `Step-As-Of-Height`: all that is final up to that height is in them. `docs/clients.md` tells how to build and
sign a proof, and `docs/codes.md` what to do about each code.
"""

_TAGS: Final = [
    {"name": "proofs", "description": "Submit location proofs and follow them."},
    {"name": "ledger", "description": "Read what has been finalised."},
    {"name": "validators", "description": "Register, leave, and see who votes and who was slashed."},
    {"name": "events", "description": "Follow what happens."},
    {"name": "mesh", "description": "Find triangles."},
    {"name": "node", "description": "Watch the node."},
]


def create_app(services: ApiServices, *, with_metrics: bool = True) -> FastAPI:
    """The HTTP API over `services`, to be served under trio (`step_node.api.server.serving`).

    Without metrics where these have a listener of their own (`create_metrics_app`).
    """
    app = DocumentedApi(
        title="STEP node",
        summary="The Spatial Token Ecosystem Protocol over HTTP",
        description=_DESCRIPTION,
        version=step_node.__version__,
        openapi_tags=_TAGS,
        # These are routes of our own (`routes.pages`): the viewer is in the package, and the description has a tag.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    submitting = Submitting(services)
    # The last one added stands in front of all.
    app.add_middleware(AsOfHeight, chain=services.chain)
    app.add_middleware(ShortWay, services=services, submitting=submitting)
    app.add_middleware(Caching)
    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, clock=services.clock)
    app.add_middleware(HeadAndOptions)
    install_error_handlers(app, services.clock)
    of_services = (
        history_routes,
        receipt_routes,
        ledger_routes,
        transaction_routes,
        validator_routes,
        upgrade_routes,
        trending_routes,
        event_routes,
        fairness_routes,
        genesis_routes,
        geometry_routes,
        ledger_mesh_routes,
        node_routes,
        guardrail_routes,
        plausibility_routes,
        *((metrics_routes,) if with_metrics else ()),
    )
    routers = (routes(services) for routes in of_services)
    pages = (page_routes(services, app.openapi), web_app_routes(services.web_app))
    add_routes(app, (proof_routes(services, submitting), *routers, *pages))
    return app


def create_metrics_app(services: ApiServices) -> FastAPI:
    """`/metrics` and nothing else, for a listener of its own."""
    app = DocumentedApi(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, clock=services.clock)
    app.add_middleware(HeadAndOptions)
    install_error_handlers(app, services.clock)
    add_routes(app, (metrics_routes(services),))
    return app
