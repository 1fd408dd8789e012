"""Tools that come with the library; each module is imported only when it is used."""
