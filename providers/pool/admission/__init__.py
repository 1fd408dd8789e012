"""Whether, when and at which endpoint a call may go. Pure."""
