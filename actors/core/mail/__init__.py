"""What travels, and where it waits: futures, envelopes, cells as plain data, mailboxes."""
