"""What is known, in one incarnation of a conversation, of the run that it is at work on."""
