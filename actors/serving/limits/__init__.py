"""How much may be asked at the door: by each key, user, tenant, and by those who do not say who they are."""
