"""The Kubernetes API: connection, plain JSON requests, ownership of fields, the leader's Lease."""
