"""What can be told by how it is written: keys, card numbers, addresses, and text that gives orders to a model."""
