"""How many clients may be connected at once, each door of each process for itself.

`places` counts them, by peer and together; `protocol` lets a connection in, or hangs up on it;
`descriptors` says how many the process can bear. The port of the operators is counted by nobody: it
is served from the descriptors that are left free.
"""
