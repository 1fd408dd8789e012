"""What calls use and cost, counted and bounded. Pure, but for `keeping`, which writes it to a journal."""
