"""Any logged run again: its configuration made safe, what differs here told, the rerun compared value by value."""
