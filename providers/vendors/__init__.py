"""The actors that talk to vendors, and how one is made of a `ProviderSpec`.

Nothing is imported here: an SDK is loaded when it is used.
"""
