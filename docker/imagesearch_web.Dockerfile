# imagesearch_web. Build from the root of the repository: docker build -f docker/imagesearch_web.Dockerfile .
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY image_kit image_kit
COPY imagesearch_client imagesearch_client
COPY imagesearch_web imagesearch_web
RUN pip install --no-cache-dir -e '.[web,heic]'
RUN mkdir /query-images && chown 65532 /query-images
VOLUME /query-images
USER 65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "imagesearch_web"]
