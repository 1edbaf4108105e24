# imagesearch_cli. Build from the root of the repository: docker build -f docker/imagesearch_cli.Dockerfile .
# --build-arg PYTHON=python@sha256:… pins the base by its content.
ARG PYTHON=python:3.12.12-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements/build.txt requirements/cli.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
 && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
      -r requirements/cli.txt
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY fetch_kit fetch_kit
COPY image_kit image_kit
COPY imagesearch_client imagesearch_client
COPY imagesearch_collect imagesearch_collect
COPY imagesearch_doctor imagesearch_doctor
COPY imagesearch_ingest imagesearch_ingest
COPY imagesearch_cli imagesearch_cli
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && /venv/bin/pip uninstall --yes pip

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imagesearch" \
      org.opencontainers.image.description="Image search: the command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN pip uninstall --yes pip \
 && useradd --uid 65532 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin imagesearch \
 && mkdir -p /state /secrets/keys /secrets/gateway /secrets/web /secrets/cli /secrets/grafana \
 && chown -R 65532:65532 /state /secrets
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp XDG_STATE_HOME=/state
VOLUME /state
USER 65532:65532
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "imagesearch_cli"]
