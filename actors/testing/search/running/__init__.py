"""One run of a scenario: what it is given, how it goes, who waits where it ends."""
