"""What an agency can be asked for, by subject: `agency` puts it together."""
