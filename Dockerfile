# The base image plus one folder, /opt/flyball. `make image` builds it; `make image-check` follows
# these lines without a container engine and runs what comes out.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS builder
WORKDIR /src
COPY requirements requirements
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/image.txt
COPY deploy/image deploy/image
RUN deploy/image/assemble dependencies /opt/flyball
COPY LICENSE README.md pyproject.toml ./
COPY autoscaler autoscaler
COPY scalers scalers
RUN deploy/image/assemble package /opt/flyball

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="flyball" \
      org.opencontainers.image.description="Event-driven autoscaler for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/flyball /opt/flyball
# Everything is compiled already, and the file system is read-only where this runs.
ENV PATH=/opt/flyball/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 6000
ENTRYPOINT ["flyball"]
CMD ["run"]
