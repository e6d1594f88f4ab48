"""Refusals of the identity room.

What a stranger could learn from is constant: every bad access token, and every bad client
assertion, gets the same words.
"""

from market.base.errors import Conflict, Forbidden, Gone, Invalid, Limited, Unauthenticated


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    title = "The access token is not valid"


class InvalidClient(Unauthenticated):
    """The name is that of RFC 6749 section 5.2."""

    code = "invalid_client"
    title = "The client assertion is not valid"


class InvalidScope(Invalid):
    code = "invalid_scope"
    title = "None of the scopes asked for can be granted"


class InvalidTarget(Invalid):
    """The name is that of RFC 8707 section 2."""

    code = "invalid_target"
    title = "The resource asked for is not one of this market"


class ProofRefused(Unauthenticated):
    code = "proof_refused"
    title = "The proof of registration does not hold"


class DelegationRefused(Unauthenticated):
    code = "delegation_refused"
    title = "The delegation does not hold"


class DelegationExpired(Gone):
    code = "delegation_expired"
    title = "The delegation's time is over"


class DelegationRevoked(Gone):
    code = "delegation_revoked"
    title = "The delegation was revoked"


class WrongDelegate(Unauthenticated):
    code = "wrong_delegate"
    title = "The delegation is for another key"


class TooManyDelegations(Limited):
    code = "too_many_delegations"
    title = "The agent has as many delegations in force as it may"


class HandleTaken(Conflict):
    code = "handle_taken"
    title = "Another agent has this handle"


class KeyTaken(Conflict):
    code = "key_taken"
    title = "The key is already registered"


class UnknownPrincipal(Invalid):
    code = "unknown_principal"
    title = "The principal is not registered"


class OverseerNotListed(Forbidden):
    code = "overseer_not_listed"
    title = "The market's settings do not list this overseer"


class OverseersOnly(Forbidden):
    code = "overseers_only"
    title = "Only an overseer may do this"


class Suspended(Forbidden):
    code = "agent_suspended"
    title = "The agent is suspended"


class OwnSuspension(Conflict):
    code = "own_suspension"
    title = "An overseer cannot suspend itself"


class BadKeyStatement(Invalid):
    code = "bad_key_statement"
    title = "The key statement does not hold"


class StatementUsed(Conflict):
    code = "statement_used"
    title = "The statement was used before"


class LastKey(Conflict):
    code = "last_key"
    title = "An agent keeps at least one active key"


class TooManyKeys(Limited):
    code = "too_many_keys"
    title = "The agent has registered as many keys as it may"
