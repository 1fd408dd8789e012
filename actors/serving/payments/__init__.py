"""What is asked for has a price: payments that are taken once, for answers only; and records of what was used."""
