"""Which vendors are known, and which provider the name of a model leads to."""
