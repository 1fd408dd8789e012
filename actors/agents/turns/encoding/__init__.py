"""How what a conversation keeps is written in a journal, and read, its former forms included."""
