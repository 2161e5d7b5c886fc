"""Several gateway processes on one port, and the parent that looks after them.

They share nothing but the listening sockets, which the parent has bound and every worker inherits:
whoever is free accepts, so that none waits behind a worker that is gone. `crew` starts workers anew
when they end and stops all of them together, `worker` is one of them as the parent sees it,
`channel` is how it is asked for health and metrics, `ops` answers the operators for all of them,
`exposition` joins their metrics.
"""
