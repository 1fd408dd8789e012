"""Handlers at work: whose turn it is, what a message's end means, work beside the mailbox."""
