"""The same load on a real control plane and in a simulation of it: do costs and lateness agree?"""
