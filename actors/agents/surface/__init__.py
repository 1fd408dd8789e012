"""What an agency is given, and what it can be asked for, by subject: `agency` puts it together."""
