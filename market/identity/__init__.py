"""Identity: a token lets you in, only a signature commits.

An *agent* is a key with a name: its id is the RFC 7638 thumbprint of the first key it brought, so
the id proves the key. Its *handle* is for people. Kinds: ``buyer``, ``seller``, ``principal`` (the
human or firm that buyers and sellers act for) and ``overseer`` (named in the settings).

An agent enters with a *registration* signed by its key. Further keys are added and revoked by a
*statement*, signed with an active key and good for one use; the id stays. A *client assertion*
(``private_key_jwt``, RFC 7523), redeemed once, buys an *access token* for five minutes; the token
names its key and ends with it. A *suspended* agent is shut out at once, until reinstated.

A *delegation*, signed by an agent, lets the key of a *sub-agent* into one session, for an hour at
most: traded with the sub-agent's own assertion for a token (RFC 8693) whose scopes open nothing
else. Whoever gave it revokes it; it cannot be passed on, and the sub-agent need not be registered.

Each kind has its scopes (``SCOPES``). What an agent is may be read by all; what it does is not
kept here.
"""

from market.identity.callers import (
    KEEP_USED,
    MAX_KEYS,
    active_keys,
    caller_of,
    client_keys,
    forget_assertions,
    redeem_assertion,
    use_up,
    verifying_key,
)
from market.identity.delegates import (
    MAX_DELEGATIONS,
    caller_behind,
    count_delegations,
    delegators_keys,
    forget_delegations,
    redeem_delegation,
    revoke_delegation,
)
from market.identity.delegation import (
    DELEGATED_SCOPES,
    MAX_DELEGATION_SECONDS,
    Handed,
    claimed_delegator,
    delegated_scopes,
    read_actor,
    read_delegation,
)
from market.identity.errors import (
    BadKeyStatement,
    DelegationExpired,
    DelegationRefused,
    DelegationRevoked,
    HandleTaken,
    InvalidClient,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    KeyTaken,
    LastKey,
    OverseerNotListed,
    OverseersOnly,
    OwnSuspension,
    ProofRefused,
    StatementUsed,
    Suspended,
    TooManyDelegations,
    TooManyKeys,
    UnknownPrincipal,
    WrongDelegate,
)
from market.identity.metadata import (
    CLIENT_ASSERTION_TYPE,
    DELEGATION_TYPE,
    JWT_TYPE,
    TOKEN_EXCHANGE,
    authorization_server,
    key_set,
    protected_resource,
)
from market.identity.proofs import (
    MAX_PROOF_SECONDS,
    Assertion,
    claimed_agent,
    read_assertion,
    read_registration,
)
from market.identity.scopes import ALL_SCOPES, AUDIENCES, REST, SCOPES, audience_of, granted_scopes
from market.identity.service import (
    agent,
    agent_by_handle,
    change_keys,
    register,
    reinstate,
    suspend,
)
from market.identity.standing import (
    ShutOut,
    Suspension,
    lately_shut_out,
    note_shut,
    unfinished_suspensions,
)
from market.identity.tokens import (
    TOKEN_SECONDS,
    AccessClaims,
    issue_access_token,
    issue_delegated_token,
    read_access_token,
)

__all__ = [
    "ALL_SCOPES",
    "AUDIENCES",
    "CLIENT_ASSERTION_TYPE",
    "DELEGATED_SCOPES",
    "DELEGATION_TYPE",
    "JWT_TYPE",
    "KEEP_USED",
    "MAX_DELEGATIONS",
    "MAX_DELEGATION_SECONDS",
    "MAX_KEYS",
    "MAX_PROOF_SECONDS",
    "REST",
    "SCOPES",
    "TOKEN_EXCHANGE",
    "TOKEN_SECONDS",
    "AccessClaims",
    "Assertion",
    "BadKeyStatement",
    "DelegationExpired",
    "DelegationRefused",
    "DelegationRevoked",
    "Handed",
    "HandleTaken",
    "InvalidClient",
    "InvalidScope",
    "InvalidTarget",
    "InvalidToken",
    "KeyTaken",
    "LastKey",
    "OverseerNotListed",
    "OverseersOnly",
    "OwnSuspension",
    "ProofRefused",
    "ShutOut",
    "StatementUsed",
    "Suspended",
    "Suspension",
    "TooManyDelegations",
    "TooManyKeys",
    "UnknownPrincipal",
    "WrongDelegate",
    "active_keys",
    "agent",
    "agent_by_handle",
    "audience_of",
    "authorization_server",
    "caller_behind",
    "caller_of",
    "change_keys",
    "claimed_agent",
    "claimed_delegator",
    "client_keys",
    "count_delegations",
    "delegated_scopes",
    "delegators_keys",
    "forget_assertions",
    "forget_delegations",
    "granted_scopes",
    "issue_access_token",
    "issue_delegated_token",
    "key_set",
    "lately_shut_out",
    "note_shut",
    "protected_resource",
    "read_access_token",
    "read_actor",
    "read_assertion",
    "read_delegation",
    "read_registration",
    "redeem_assertion",
    "redeem_delegation",
    "register",
    "reinstate",
    "revoke_delegation",
    "suspend",
    "unfinished_suspensions",
    "use_up",
    "verifying_key",
]
