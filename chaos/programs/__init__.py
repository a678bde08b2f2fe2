"""What experiments start as processes of their own: some to be killed, some to be the control."""
