"""A page that shows an agency while it works, and through which it is stopped, helped on and answered."""
