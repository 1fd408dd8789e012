"""An agency behind HTTP: ``app = serve(agency)``. Needs the extra ``serve``."""

try:
    from .app import serve
    from .dashboard.acting.audit import AuditEntry, AuditLog, AuditPage
    from .limits.limit import RequestLimit
    from .payments.keeping import usage_records
    from .payments.payments import Payments
    from .published.registry import PublishedAgent, Registry
    from .published.returned import WrongReturn
    from .webhooks import Webhooks
    from .who.keys import ApiKeys, UnknownKey
    from .who.tokens import Jwt
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("callboard"):
        raise
    raise ImportError("serving needs an optional dependency: pip install 'callboard[serve]'") from error

__all__ = [
    "ApiKeys",
    "AuditEntry",
    "AuditLog",
    "AuditPage",
    "Jwt",
    "Payments",
    "PublishedAgent",
    "Registry",
    "RequestLimit",
    "UnknownKey",
    "Webhooks",
    "WrongReturn",
    "serve",
    "usage_records",
]
