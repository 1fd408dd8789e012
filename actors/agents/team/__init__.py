"""The team: who there is, made ready for work. Data only; nothing here runs."""
