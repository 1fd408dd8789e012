"""What calls use and cost, counted and bounded. Pure."""
