"""Language-model providers: neutral types, wire mappings, and the actors that talk to vendors."""
