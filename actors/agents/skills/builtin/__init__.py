"""The skills that come with the library, one file each; `find_skill` knows them by name."""
