# The image of each service: `docker build --target order .`, or `make images`. docs/deploy/images.md says what is in them.
# BuildKit and the classic builder both build it, so there is no RUN --mount; what is slow has a layer that only a lock
# changes. A target holds Python, the service's packages and what these load: no shell, no package manager.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG VERSION=0.1.0 REVISION=unknown

# --- the builder: it stays behind -----------------------------------------------------------------------------------

FROM ${BASE_IMAGE} AS builder
WORKDIR /build
ENV PYTHONHASHSEED=0 PYTHONNODEBUGRANGES=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/bootstrap.lock requirements/wheels.lock requirements/
RUN python3 -m venv /tools \
 && /tools/bin/pip install -q --no-cache-dir --require-hashes -r requirements/bootstrap.lock \
 && /tools/bin/uv pip install -q --no-cache --python /tools/bin/python --require-hashes -r requirements/wheels.lock \
 && python3 -m venv --without-pip /opt/venv
COPY scripts/images/builder scripts/images/builder
RUN ["python3", "-m", "scripts.images.builder", "interpreter"]
COPY requirements/base.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies"]
COPY LICENSE ./

# --- what all six share ---------------------------------------------------------------------------------------------

FROM scratch AS shared
COPY --from=builder /layers/python /
COPY --from=builder /layers/base /
ENV PATH=/opt/venv/bin LANG=C.UTF-8 HOME=/tmp PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/cortex

# --- gateway -----------------------------------------------------------------------------------------------------------

FROM builder AS build-gateway
COPY requirements/gateway.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "gateway"]
COPY libs libs
COPY services/gateway services/gateway
RUN ["python3", "-m", "scripts.images.builder", "own", "gateway"]

FROM shared AS gateway
COPY --from=build-gateway /layers/gateway /
COPY --from=build-gateway /layers/own /
ENV GATEWAY_HOST=0.0.0.0
EXPOSE 3000 9464
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "gateway", "3000"]
ENTRYPOINT ["python", "-m", "cortex_gateway.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub gateway" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# --- order -------------------------------------------------------------------------------------------------------------

FROM builder AS build-order
COPY requirements/order.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "order"]
COPY libs libs
COPY services/order services/order
RUN ["python3", "-m", "scripts.images.builder", "own", "order"]

FROM shared AS order
COPY --from=build-order /layers/order /
COPY --from=build-order /layers/own /
ENV ORDER_HOST=0.0.0.0
EXPOSE 3001
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "order", "3001"]
ENTRYPOINT ["python", "-m", "cortex_order.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub order" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# --- notification ------------------------------------------------------------------------------------------------------

FROM builder AS build-notification
COPY requirements/notification.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "notification"]
COPY libs libs
COPY services/notification services/notification
RUN ["python3", "-m", "scripts.images.builder", "own", "notification"]

FROM shared AS notification
COPY --from=build-notification /layers/notification /
COPY --from=build-notification /layers/own /
ENV NOTIFICATION_HOST=0.0.0.0
EXPOSE 3002
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "notification", "3002"]
ENTRYPOINT ["python", "-m", "cortex_notification.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub notification" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# --- analytics ---------------------------------------------------------------------------------------------------------

FROM builder AS build-analytics
COPY requirements/analytics.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "analytics"]
COPY libs libs
COPY services/analytics services/analytics
RUN ["python3", "-m", "scripts.images.builder", "own", "analytics"]

FROM shared AS analytics
COPY --from=build-analytics /layers/analytics /
COPY --from=build-analytics /layers/own /
ENV ANALYTICS_HOST=0.0.0.0 ANALYTICS_EXPORTER_HOST=0.0.0.0
EXPOSE 3003 9090
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "analytics", "3003"]
ENTRYPOINT ["python", "-m", "cortex_analytics.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub analytics" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# --- storage -----------------------------------------------------------------------------------------------------------

FROM builder AS build-storage
COPY requirements/storage.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "storage"]
COPY libs libs
COPY services/storage services/storage
RUN ["python3", "-m", "scripts.images.builder", "own", "storage"]

FROM shared AS storage
COPY --from=build-storage /layers/storage /
COPY --from=build-storage /layers/own /
ENV STORAGE_HOST=0.0.0.0 STORAGE_BLOCKS_DIR=/var/lib/cortex/blocks
EXPOSE 3004
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "storage", "3004"]
ENTRYPOINT ["python", "-m", "cortex_storage.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub storage" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# --- compute -----------------------------------------------------------------------------------------------------------

FROM builder AS build-compute
COPY requirements/compute.lock requirements/
RUN ["python3", "-m", "scripts.images.builder", "dependencies", "compute"]
COPY libs libs
COPY services/compute services/compute
RUN ["python3", "-m", "scripts.images.builder", "own", "compute"]

FROM shared AS compute
COPY --from=build-compute /layers/compute /
COPY --from=build-compute /layers/own /
ENV COMPUTE_HOST=0.0.0.0
EXPOSE 3005
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-m", "cortex_core.kernel.health_probe", "compute", "3005"]
ENTRYPOINT ["python", "-m", "cortex_compute.main"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="cortex-hub compute" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
