# syntax=docker/dockerfile:1
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/gateway-telemetry
# Dependencies first: they change less often than the code. Only wheels, only those whose hashes are locked.
COPY requirements/runtime.lock requirements/
RUN /opt/gateway-telemetry/bin/pip install --only-binary=:all: --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
# Built outside of the image's environment, so that the build backend does not become part of it.
RUN python -m pip wheel --no-deps --wheel-dir /wheels . \
 && /opt/gateway-telemetry/bin/pip install --no-deps --no-index /wheels/*.whl \
 && /opt/gateway-telemetry/bin/python -m compileall -q /opt/gateway-telemetry \
 && /opt/gateway-telemetry/bin/pip uninstall --yes pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="gateway-telemetry-operator" \
      org.opencontainers.image.description="Points the OpenTelemetry traces of AI gateways at LangSmith, and shows that they arrive" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/gateway-telemetry /opt/gateway-telemetry
# The root file system is read-only where the chart runs it: nothing may be written beside the code.
ENV PATH=/opt/gateway-telemetry/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["gateway-telemetry"]
