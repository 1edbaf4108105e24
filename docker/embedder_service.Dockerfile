# embedder_service. Build from the root of the repository: docker build -f docker/embedder_service.Dockerfile .
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md ./
COPY protos protos
COPY service_kit service_kit
COPY image_kit image_kit
COPY embedder_service embedder_service
RUN pip install --no-cache-dir -e '.[embedder,heic]'
RUN mkdir /models && chown 65532 /models
VOLUME /models
USER 65532
EXPOSE 50051 9151
ENTRYPOINT ["python", "-m", "embedder_service"]
