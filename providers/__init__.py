"""Language-model providers: neutral types, wire mappings, and the actors that talk to vendors.

Here are only the types and errors; a provider, the pool and the simulated server are imported from their own modules.
"""

from .clouds import Azure, Bedrock, Vertex
from .embeddings import EmbeddingRequest, Embeddings
from .errors import (
    AuthenticationFailed,
    BudgetSpent,
    ConnectionLost,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    NoProvider,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    Redirected,
    StreamCut,
    UnknownModel,
    UnpricedModel,
)
from .messages import (
    Audio,
    Completion,
    Delta,
    File,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)

__all__ = [
    "Audio",
    "AuthenticationFailed",
    "Azure",
    "Bedrock",
    "BudgetSpent",
    "Completion",
    "ConnectionLost",
    "ContextTooLong",
    "Delta",
    "EmbeddingRequest",
    "Embeddings",
    "File",
    "Image",
    "InvalidRequest",
    "MalformedResponse",
    "Message",
    "NoProvider",
    "ProviderError",
    "ProviderOverloaded",
    "ProviderTimeout",
    "RateLimited",
    "Redirected",
    "Request",
    "StreamCut",
    "Text",
    "ToolCall",
    "ToolSpec",
    "UnknownModel",
    "UnpricedModel",
    "Usage",
    "VendorState",
    "Vertex",
]
