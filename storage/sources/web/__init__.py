"""Asking metadata services over HTTP: politely, resumably and without telling anyone the key."""
