"""Tools that people deploy gateways with, against the operator, change by change."""
