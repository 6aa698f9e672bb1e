# syntax=docker/dockerfile:1
# docs/image.md tells what is in the image and how `make image` builds it without a registry or a daemon.
# Both stages need the same Python at the same path; only the first needs a shell and venv.
ARG BASE_IMAGE=python:3.13-slim
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
# Set by `make image`: then nothing but the wheels of requirements/wheels is looked at.
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=requirements/wheels PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python3 -m venv --without-pip /opt/gateway-telemetry && python3 -m venv /opt/build
# Dependencies first: they change less often than the code. Only wheels, only those whose hashes are locked.
COPY requirements requirements
RUN mkdir -p requirements/wheels \
 && /opt/build/bin/pip --python=/opt/gateway-telemetry/bin/python install --no-compile --only-binary=:all: \
      --require-hashes -r requirements/runtime.lock \
 && /opt/build/bin/pip install --only-binary=:all: --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
# Built outside of the image's environment, so that the build backend does not become part of it. Compiled files do not
# depend on dates, so that the same sources make the same image; of the Kubernetes client's thousand models two are used.
RUN /opt/build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python=/opt/gateway-telemetry/bin/python install --no-compile --no-deps --no-index /wheels/*.whl \
 && /opt/gateway-telemetry/bin/python -m compileall -q --invalidation-mode=unchecked-hash \
      -x 'kubernetes/(aio/)?client/(api|models)/' /opt/gateway-telemetry

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="gateway-telemetry-operator" \
      org.opencontainers.image.description="Points the OpenTelemetry traces of AI gateways at LangSmith, and shows that they arrive" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/gateway-telemetry /opt/gateway-telemetry
# The root file system is read-only where the chart runs it: nothing may be written beside the code.
ENV PATH=/opt/gateway-telemetry/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["gateway-telemetry"]
