"""Task lists and task graphs: values that live in a conversation's state, and the tools and plugins over them."""
