"""The outside checker: what clients wrote down and what the journals hold, compared with the specification.

It knows the wire, the record layouts and the rules, and nothing of how the cluster works. Every function is pure:
histories and journals go in, violations come out, each under the name of the promise that it breaks.
"""
