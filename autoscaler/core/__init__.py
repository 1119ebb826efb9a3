"""The pure decision core: facts in, decision out. No I/O, clock, randomness or Kubernetes."""
