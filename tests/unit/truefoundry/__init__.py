"""The client of TrueFoundry's control plane, and the stand-in that it is tested with."""
