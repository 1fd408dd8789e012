"""How teams and servers do: cases they are asked, and load."""
