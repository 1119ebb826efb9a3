"""Offline load simulation: the decision core under recorded or synthetic load, in virtual time."""
