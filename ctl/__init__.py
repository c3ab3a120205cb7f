"""linitctl: the client of linit. Imports nothing of linit but the messages of the control socket."""
