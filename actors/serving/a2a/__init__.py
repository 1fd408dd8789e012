"""Agent2Agent: agents as servers of it, whose tasks are runs. Needs the extra ``a2a``, imported when first asked.

https://a2a-protocol.org/latest/specification, version 1.0, and 0.3 for clients that speak it.
"""
