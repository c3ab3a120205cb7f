"""How do others ask? The control socket: `messages.py` says what is spoken, `server.py` answers it."""
