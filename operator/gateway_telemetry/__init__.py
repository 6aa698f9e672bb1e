"""Own the OpenTelemetry trace export of AI gateways to LangSmith, from two small Kubernetes objects.

The folders show the architecture; imports point from the loop down to the data, never back:
``cli`` > ``control`` > ``langsmith`` and ``cluster`` > ``plan`` > ``adapters`` > ``endpoint`` > ``api``.
"""

__version__ = "0.1.0"
