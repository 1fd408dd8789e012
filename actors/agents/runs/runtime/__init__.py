"""What the actors of one agency share: the register of runs, approvals, posts, what they say to each other."""
