"""Who runs next where several could: by chance, or as written down."""
