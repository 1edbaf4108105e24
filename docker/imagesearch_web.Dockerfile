# imagesearch_web. Build from the root of the repository: docker build -f docker/imagesearch_web.Dockerfile .
# --build-arg PYTHON=python@sha256:… pins the base by its content.
ARG PYTHON=python:3.12.12-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements/build.txt requirements/web.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
 && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
      -r requirements/web.txt
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY image_kit image_kit
COPY imagesearch_client imagesearch_client
COPY imagesearch_web imagesearch_web
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && /venv/bin/pip uninstall --yes pip

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imagesearch_web" \
      org.opencontainers.image.description="Image search: the page and its JSON API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN pip uninstall --yes pip \
 && useradd --uid 65532 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin imagesearch \
 && mkdir /query-images && chown 65532:65532 /query-images
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
VOLUME /query-images
USER 65532:65532
EXPOSE 8080 9180
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=1m \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
ENTRYPOINT ["python", "-m", "imagesearch_web"]
