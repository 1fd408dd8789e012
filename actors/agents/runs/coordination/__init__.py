"""Where processes meet over one journal: who owns a conversation, what was left behind, what is said from elsewhere."""
