"""Settings: one frozen value, read from ``MARKET_*`` variables at an entry point and passed down.

Nothing is global, so two markets can live in one process.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

from market.protocol.money import EXPONENTS

PREFIX: Final = "MARKET_"

_AT_LEAST_ONE: Final = (
    "control_answer_seconds", "lease_seconds", "pause_seconds", "presence_seconds",
    "dispute_answer_seconds", "dispute_decide_seconds",
    "typical_after_orders", "start_cap_orders",
    "requests_per_second", "writes_per_second", "visits_per_second", "requests_at_once",
    "max_open_sessions", "max_open_quotes", "max_services", "max_inbox", "max_note_bytes",
    "max_streams", "max_stream_bytes",
)  # fmt: skip
_LEAST_TOKEN_SECONDS: Final = 60
"""Clients renew a token 20 seconds before its end."""

_SHUT_IN_PRODUCTION: Final = {
    "signup_grant_minor": "0",
    "open_streams": "false",
    "loopback_endpoints": "false",
    "anchors_by_one": "false",
}


class BadSettings(ValueError):
    """A variable is unknown or malformed; the message names it. The market does not start."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one market runs. Each field is the variable ``MARKET_<NAME>``."""

    home: Path = Path(".market")
    """Folder for the SQLite file and the market's signing key."""
    store: str = ""
    """``postgresql://...``, or empty for the SQLite file ``market.db`` in ``home``."""
    host: str = "127.0.0.1"
    port: int = 8700
    issuer: str = ""
    """Public base address, also the audience of commitments; empty means the host and port."""
    mode: Literal["sandbox", "production"] = "sandbox"
    """``production`` has no faucet and no sign-up grant."""
    server: Literal["granian", "uvicorn"] = "granian"
    synchronous: Literal["full", "normal"] = "full"
    """SQLite: ``normal`` may lose the last commits at a power cut (not at a crash)."""
    currency: str = "XTS"
    fee_basis_points: int = 150
    signup_grant_minor: int = 0
    """Sandbox money that each new buyer and principal starts with."""
    quote_ttl_seconds: int = 300
    approval_ttl_seconds: int = 600
    accept_window_seconds: int = 3_600
    """How long a buyer may inspect a delivery before it counts as accepted."""
    control_answer_seconds: int = 10
    """Within how long a worker, or else the market, answers a steer."""
    token_seconds: int = 300
    """How long an access token is good, and a live stream lasts before it is resumed. Longer than
    by default in sandbox mode only: it is for simulated days."""
    lease_seconds: int = 30
    """How long a worker may be silent: then its order is stalled, and fails after as long again."""
    dispute_window_seconds: int = 86_400
    """How long after its settlement an order may be disputed, where its manifest does not say."""
    dispute_answer_seconds: int = 3_600
    """Within how long a seller answers a dispute; its silence concedes what is claimed."""
    dispute_decide_seconds: int = 86_400
    """Within how long an overseer decides one that the seller contests; else the claim falls."""
    pause_seconds: int = 3_600
    """How long an order may stay paused by the buyer's side before the market cancels it."""
    presence_seconds: int = 30
    """How long a participant may be silent before it counts as gone from a session."""
    typical_after_orders: int = 20
    """Settled orders of 30 days from which on their median price is that of a typical order. A
    younger market asks for no bonds and caps no orders."""
    bond_orders: int = 3
    """How many typical orders a seller's bond is of; 0 asks for none."""
    start_cap_orders: int = 50
    """The largest order that a seller without a past may get, in typical orders."""
    bond_cool_off_seconds: int = 604_800
    """How long a seller's last order must have ended, at least, before its bond is released."""
    overseer_ids: tuple[str, ...] = ()
    """Ids of the agents that may register as overseers."""
    loopback_endpoints: bool = False
    """Sandbox, for development: services may be behind plain http on this machine."""
    anchors_by_one: bool = False
    """``true`` lets one overseer both propose and confirm an anchor. Sandbox mode only."""
    queue_limit: int = 2_000
    """Units of work that may wait for the writer; more are refused as overloaded."""
    open_streams: bool = False
    """``true`` lets anyone, without a token, use raw streams under ``/v1/stream/``, and webhooks
    lead to loopback; for tests of the protocol. Sandbox mode only."""
    long_poll_seconds: float = 20.0
    """How long a long poll of the protocol for durable streams waits."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside the issuer's and ``localhost``, under which the market is asked for (Host)."""
    requests_per_second: int = 5_000
    """Requests of one agent and its sub-agents that one process answers; twice as many at once.
    The default suits a sandbox and its benches; in production 50 to 200."""
    writes_per_second: int = 2_500
    """Those among them that change something, and frames of sockets; in production 20 to 100."""
    visits_per_second: int = 1_000
    """Requests without a known token from one address (``/64`` of IPv6): registrations, tokens,
    published documents; twice as many at once. In production 10 to 50."""
    requests_at_once: int = 20_000
    """Requests of one address that are under way, live streams among them. In production 256,
    unless a proxy stands before the market: then all come from its address."""
    disk_reserve_bytes: int = 64 * 1024 * 1024
    """Room on the disk of ``home`` that is kept for what frees, ends and cancels (SQLite)."""
    max_open_sessions: int = 100_000
    """Sessions that one buyer has open. In production 1,000 would do; so for what follows."""
    max_open_quotes: int = 100_000
    """Quotes of one buyer that were not taken up and have not expired."""
    max_services: int = 1_000
    """Services that one seller has published."""
    max_inbox: int = 100_000
    """Messages that wait in one agent's inbox for being acknowledged."""
    max_note_bytes: int = 256 * 1024 * 1024
    """Bytes of all notes that one agent keeps."""
    max_streams: int = 10_000
    """Raw streams that one agent has."""
    max_stream_bytes: int = 10 * 1024 * 1024 * 1024
    """Bytes in all raw streams of one agent."""

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise BadSettings(
                f"{PREFIX}CURRENCY: {self.currency!r} is not one of {list(EXPONENTS)}"
            )
        if not 0 <= self.fee_basis_points <= 10_000:
            raise BadSettings(f"{PREFIX}FEE_BASIS_POINTS must be from 0 to 10000")
        self._check_least()
        if self.store and urlsplit(self.store).scheme != "postgresql":
            raise BadSettings(f"{PREFIX}STORE must be empty or a postgresql:// address")
        if self.mode == "production":
            self._refuse_sandbox()
        if not 0 < self.long_poll_seconds <= 60:
            raise BadSettings(f"{PREFIX}LONG_POLL_SECONDS must be above 0 and at most 60")
        if not self.issuer:
            object.__setattr__(self, "issuer", f"http://{self.host}:{self.port}")

    def _check_least(self) -> None:
        for name in ("bond_orders", "bond_cool_off_seconds"):
            if getattr(self, name) < 0:
                raise BadSettings(f"{PREFIX}{name.upper()} must not be below 0")
        if self.token_seconds < _LEAST_TOKEN_SECONDS:
            raise BadSettings(f"{PREFIX}TOKEN_SECONDS must be at least {_LEAST_TOKEN_SECONDS}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise BadSettings(f"{PREFIX}{name.upper()} must be at least 1")

    def _refuse_sandbox(self) -> None:
        """Let no door of the sandbox stay open in production."""
        if self.token_seconds > Settings.token_seconds:
            raise BadSettings(
                f"{PREFIX}TOKEN_SECONDS must be at most {Settings.token_seconds} in production"
            )
        for name, shut in _SHUT_IN_PRODUCTION.items():
            if getattr(self, name):
                raise BadSettings(f"{PREFIX}{name.upper()} must be {shut} in production")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> "Settings":
        """Build settings from ``MARKET_*`` variables; ``overrides`` that are not None win.

        Raises:
            BadSettings: a variable is unknown or malformed.
        """
        known = {field.name: field for field in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in RESERVED:
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise BadSettings(
                    f"{variable} is no setting; known are {', '.join(sorted(variables()))}"
                )
            values[name] = _parse(variable, known[name].type, text)
        values |= {name: value for name, value in overrides.items() if value is not None}
        return cls(**values)

    def with_(self, **changes: Any) -> "Settings":
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The database behind ``store``."""
        return "postgresql" if self.store else "sqlite"


RESERVED: Final = frozenset({"MARKET_URL", "MARKET_KEY"})
"""Variables of the command line's client side, which are no settings of a market."""


def variables() -> dict[str, str]:
    """Return every variable with its default as text."""
    return {
        PREFIX + field.name.upper(): "" if field.default is MISSING else str(field.default)
        for field in fields(Settings)
    }


def _parse(variable: str, kind: Any, text: str) -> Any:
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise BadSettings(f"{variable} must be a whole number, not {text!r}") from None
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise BadSettings(f"{variable} must be a number, not {text!r}") from None
    if kind is bool:
        if text not in ("true", "false"):
            raise BadSettings(f"{variable} must be true or false, not {text!r}")
        return text == "true"
    if kind is Path:
        return Path(text)
    if get_origin(kind) is tuple:
        return tuple(part for part in text.replace(",", " ").split() if part)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise BadSettings(f"{variable} must be one of {', '.join(get_args(kind))}, not {text!r}")
    return text
