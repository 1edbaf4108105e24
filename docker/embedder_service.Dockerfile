# embedder_service. Build from the root of the repository: docker build -f docker/embedder_service.Dockerfile .
# --build-arg PYTHON=python@sha256:… pins the base by its content.
# On Linux the lock brings NVIDIA's libraries: one image for processors and GPUs.
ARG PYTHON=python:3.12.12-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements/build.txt requirements/embedder.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
 && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
      -r requirements/embedder.txt
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY image_kit image_kit
COPY embedder_service embedder_service
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && /venv/bin/pip uninstall --yes pip

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="embedder_service" \
      org.opencontainers.image.description="Image search: images and texts into vectors of CLIP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN pip uninstall --yes pip \
 && useradd --uid 65532 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin imagesearch \
 && mkdir /models && chown 65532:65532 /models
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
VOLUME /models
USER 65532:65532
EXPOSE 50051 50061 9151
# The first start downloads the models.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=30m \
  CMD ["python", "-m", "service_kit.check_health", "127.0.0.1:50051"]
ENTRYPOINT ["python", "-m", "embedder_service"]
