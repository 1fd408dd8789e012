"""What files say of providers, read with the line of each mistake."""
