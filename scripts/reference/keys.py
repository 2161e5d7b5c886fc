"""The operations on signing keys."""

from scripts.reference.operation import Answer, Operation
from services.token import errors
from services.token.schemas import keys as schemas

_ROTATE_TEXT = """Keys are replaced every `KEY_ROTATION_DAYS` without this. The successor is in the
JWKS at once and signs from `signs_at` on, when every cache of the JWKS has run out; the old key
stays there until its last token has. Nobody is logged out and no token refused. Asked again before
`signs_at`, it changes nothing and answers the same."""

_REVOKE_TEXT = """For a key that may be in wrong hands. It leaves the JWKS at once; if it signed,
another one signs at once; within a second gateways refuse every token it signed with
`token_stale`. Nobody is logged out: refresh tokens go on, and the first refresh gives a token of
the successor. That holds for the caller of this, too. Who verifies tokens with a JWKS of their own
may accept the key until that has run out (5 minutes), unless they follow
`token.signing_key.revoked.v1`. Repeated, it answers the same."""

KEYS = (
    Operation(
        method="GET",
        path="/api/v1/admin/keys",
        name="listSigningKeys",
        tag="Signing keys",
        summary="List the signing keys",
        text="Public facts alone: the private halves leave the service for nobody.",
        answers={200: Answer(text="All keys.", model=schemas.SigningKeysResponse)},
        problems=(errors.RoleRequired,),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/keys/rotate",
        name="rotateSigningKey",
        tag="Signing keys",
        summary="Replace the signing key in stages",
        text=_ROTATE_TEXT,
        body=schemas.KeyRotationRequest,
        body_required=False,
        answers={202: Answer(text="It is under way.", model=schemas.KeyRotationResponse)},
        problems=(errors.RoleRequired, errors.SigningKeyMissing),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/keys/{id}/revoke",
        name="revokeSigningKey",
        tag="Signing keys",
        summary="Take a signing key away at once",
        text=_REVOKE_TEXT,
        body=schemas.KeyRevocationRequest,
        answers={200: Answer(text="It is revoked.", model=schemas.RevokedKeyView)},
        problems=(errors.RoleRequired, errors.SigningKeyNotFound),
    ),
)
