"""Pure mappings between the neutral types and the vendors' protocols, in both directions. No I/O, no SDK.

Each protocol module has the same six functions: ``to_payload`` / ``from_payload`` (requests),
``to_response`` / ``from_response`` (answers), ``to_events`` and an ``Assembler`` (streams).
"""
